/* See log_floor.h. Two alternating slots: a write that is torn spares the other one. */
#include "log_floor.h"

#include "folder.h"
#include "hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <unistd.h>

enum {
    FLOOR_VERSION = 1,
    SLOT_BYTES = 512, /* a disk writes a sector whole */
    SLOTS = 2,
    RECORD_BYTES = 40,
    CHECKED_BYTES = 36,
};

#define FLOOR_MAGIC UINT32_C(0x6c466452) /* "RdFl" */

static_assert(CHECKED_BYTES == 3 * 4 + 3 * 8 && RECORD_BYTES == CHECKED_BYTES + 4, "slot");

struct slot {
    uint32_t secret;
    struct log_floor_mark mark;
};

static void slot_encode(char out[RECORD_BYTES], const struct log_state *s, uint32_t secret) {
    const uint32_t words[3] = {FLOOR_MAGIC, FLOOR_VERSION, secret};
    const uint64_t numbers[3] = {s->seq, s->last_index, s->last_term};
    memcpy(out, words, sizeof words);
    memcpy(out + sizeof words, numbers, sizeof numbers);
    uint32_t crc = crc32c(0, slice_make(out, CHECKED_BYTES));
    memcpy(out + CHECKED_BYTES, &crc, sizeof crc);
}

static bool slot_decode(struct slice record, struct slot *out) {
    struct slice checked = slice_make(record.data, CHECKED_BYTES);
    uint32_t magic, version, crc;
    return slice_take_u32le(&record, &magic) && slice_take_u32le(&record, &version) &&
           slice_take_u32le(&record, &out->secret) && slice_take_u64le(&record, &out->mark.seq) &&
           slice_take_u64le(&record, &out->mark.last_index) &&
           slice_take_u64le(&record, &out->mark.last_term) && slice_take_u32le(&record, &crc) &&
           magic == FLOOR_MAGIC && version == FLOOR_VERSION && crc == crc32c(0, checked);
}

enum rc log_floor_write(struct log_floor *f, const struct log_state *state, struct kv_error *error) {
    char record[RECORD_BYTES];
    slot_encode(record, state, f->secret);
    ssize_t n = pwrite(f->fd, record, sizeof record, (off_t)(state->seq % SLOTS) * SLOT_BYTES);
    if (n == (ssize_t)sizeof record) return RC_OK;
    if (n >= 0) errno = EIO;
    return folder_error(error, "write", "the Raft log's floor file");
}

enum rc log_floor_create(struct log_floor *f, const char *folder, struct kv_error *error) {
    const struct log_state nothing = {0};
    struct path fresh = path_in(folder, "floor.new"), final = path_in(folder, "floor");
    char image[SLOTS * SLOT_BYTES] = {0};
    if (getrandom(&f->secret, sizeof f->secret, 0) != (ssize_t)sizeof f->secret)
        return folder_error(error, "draw a random number for", folder);
    for (int i = 0; i < SLOTS; i++) slot_encode(image + i * SLOT_BYTES, &nothing, f->secret);
    f->fd = open(fresh.text, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (f->fd < 0) return folder_error(error, "create", fresh.text);
    if (pwrite(f->fd, image, sizeof image, 0) != (ssize_t)sizeof image || fsync(f->fd) != 0 ||
        rename(fresh.text, final.text) != 0)
        return folder_error(error, "write", fresh.text);
    return folder_sync(folder, error);
}

enum rc log_floor_open(struct log_floor *f, const char *folder, struct log_floor_mark *mark,
                       struct kv_error *error) {
    struct path path = path_in(folder, "floor");
    char image[SLOTS * SLOT_BYTES];
    f->fd = open(path.text, O_RDWR | O_CLOEXEC);
    if (f->fd < 0) return errno == ENOENT ? RC_NOT_FOUND : folder_error(error, "open", path.text);
    ssize_t got = pread(f->fd, image, sizeof image, 0);
    if (got < 0) return folder_error(error, "read", path.text);
    bool any = false;
    for (int i = 0; got == (ssize_t)sizeof image && i < SLOTS; i++) {
        struct slot slot;
        if (!slot_decode(slice_make(image + i * SLOT_BYTES, RECORD_BYTES), &slot)) continue;
        if (!any || slot.mark.seq > mark->seq) *mark = slot.mark;
        f->secret = slot.secret;
        any = true;
    }
    if (any) return RC_OK;
    snprintf(error->text, sizeof error->text, "%.200s: no readable slot", path.text);
    return RC_CORRUPT;
}

void log_floor_close(struct log_floor *f) {
    if (f->fd < 0) return;
    /* After a clean stop the floor is on disk too. Failing here loses nothing: an older floor is a lower one. */
    (void)!fdatasync(f->fd);
    close(f->fd);
    f->fd = -1;
}
