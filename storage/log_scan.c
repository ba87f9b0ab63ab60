/* See log_scan.h. At most one batch is being written at a time, so at most the newest can be torn: a batch of a higher number
 * than the one behind the newest whole one proves that something between was lost. */
#include "log_scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

enum { WINDOW_BYTES = 1 << 20 };

/* A part of a file, in memory. */
struct window {
    const struct log_segment *segment;
    uint64_t at;
    struct buf bytes;
};

/* `len` bytes at `at`; the file has them. */
static enum rc look(struct window *w, uint64_t at, uint64_t len, struct slice *out, struct kv_error *error) {
    CHECK(at + len <= w->segment->size);
    if (at < w->at || at + len > w->at + w->bytes.len) {
        uint64_t want = len > WINDOW_BYTES ? len : WINDOW_BYTES;
        if (want > w->segment->size - at) want = w->segment->size - at;
        buf_clear(&w->bytes);
        w->at = at;
        while (w->bytes.len < want) {
            buf_reserve(&w->bytes, want - w->bytes.len);
            ssize_t n =
                pread(w->segment->fd, buf_tail(&w->bytes), want - w->bytes.len, (off_t)(at + w->bytes.len));
            if (n < 0 && errno == EINTR) continue;
            if (n == 0) errno = EIO;
            if (n <= 0) return folder_error(error, "read", "the Raft log");
            w->bytes.len += (size_t)n;
        }
    }
    *out = slice_make(w->bytes.data + (at - w->at), len);
    return RC_OK;
}

/* *whole: an intact head with its rows begins here. */
static enum rc look_at_head(struct window *w, uint64_t at, uint32_t secret, struct log_head *head,
                            struct slice *head_and_rows, bool *whole, struct kv_error *error) {
    uint64_t left = w->segment->size - at;
    *whole = false;
    if (left < LOG_HEAD_BYTES) return RC_OK;
    enum rc rc = look(w, at, LOG_HEAD_BYTES, head_and_rows, error);
    if (rc != RC_OK) return rc;
    uint64_t bytes = log_head_bytes(*head_and_rows);
    if (bytes == 0 || bytes > left) return RC_OK;
    rc = look(w, at, bytes, head_and_rows, error);
    if (rc == RC_OK) *whole = log_record_parse(*head_and_rows, secret, head);
    return rc;
}

/* *whole: the payloads are what their rows say. */
static enum rc check_payloads(struct window *w, uint64_t at, const struct log_head *head,
                              struct slice head_and_rows, bool *whole, struct kv_error *error) {
    uint64_t end = at + head->bytes;
    at += head_and_rows.len;
    *whole = false;
    for (uint32_t i = 0; i < head->entry_count; i++) {
        struct log_row row = log_record_row(head_and_rows, i);
        uint32_t crc = log_row_seed(head->first_index + i, row.term, row.kind);
        if (row.len > end - at) return RC_OK;
        for (uint64_t done = 0; done < row.len;) {
            uint64_t piece = row.len - done < WINDOW_BYTES ? row.len - done : WINDOW_BYTES;
            struct slice bytes;
            enum rc rc = look(w, at + done, piece, &bytes, error);
            if (rc != RC_OK) return rc;
            crc = log_payload_crc(crc, bytes);
            done += piece;
        }
        if (crc != row.crc) return RC_OK;
        at += row.len;
    }
    *whole = end - at < LOG_ALIGN;
    return RC_OK;
}

struct scan {
    struct log_files *files;
    uint32_t secret;
    log_scan_fn *visit;
    void *arg;
    uint64_t next_seq; /* 0: of the first one any */
};

/* The batches from the start of the segment on that continue those before them. */
static enum rc scan_segment(struct scan *s, struct log_segment *segment, struct kv_error *error) {
    struct window w = {.segment = segment};
    struct buf copy = {0}; /* the window moves while payloads are looked at */
    enum rc rc = RC_OK;
    segment->end = segment->top_index = 0;
    for (;;) {
        struct log_head head;
        struct slice bytes;
        bool whole;
        rc = look_at_head(&w, segment->end, s->secret, &head, &bytes, &whole, error);
        if (rc != RC_OK || !whole || head.bytes > segment->size - segment->end) break;
        if (s->next_seq != 0 && head.state.seq != s->next_seq) break;
        buf_clear(&copy);
        buf_add_slice(&copy, bytes);
        rc = check_payloads(&w, segment->end, &head, buf_slice(&copy), &whole, error);
        if (rc != RC_OK || !whole) break;
        rc = s->visit(s->arg, &head, buf_slice(&copy), segment->number, segment->end, error);
        if (rc != RC_OK) break;
        uint64_t last = head.entry_count > 0 ? head.first_index + head.entry_count - 1 : 0;
        if (last > segment->top_index) segment->top_index = last;
        segment->end += head.bytes;
        s->next_seq = head.state.seq + 1;
    }
    buf_free(&copy);
    buf_free(&w.bytes);
    return rc;
}

/* Moves *at to where a head may begin, or to the end. */
static enum rc skip_to_head(struct window *w, uint64_t *at, struct kv_error *error) {
    while (*at + LOG_HEAD_BYTES <= w->segment->size) {
        uint64_t left = w->segment->size - *at, len = left < WINDOW_BYTES ? left : WINDOW_BYTES, i = 0;
        struct slice bytes;
        enum rc rc = look(w, *at, len, &bytes, error);
        if (rc != RC_OK) return rc;
        while (i + LOG_ALIGN <= len && !log_head_may_begin(bytes.data + i)) i += LOG_ALIGN;
        *at += i;
        if (i + LOG_ALIGN <= len) break;
    }
    return RC_OK;
}

/* Nothing in the rest of the segment is newer than the batch that may be torn. */
static enum rc scan_rest(const struct scan *s, const struct log_segment *segment, struct kv_error *error) {
    struct window w = {.segment = segment};
    enum rc rc = RC_OK;
    for (uint64_t at = segment->end; rc == RC_OK; at += LOG_ALIGN) {
        struct log_head head;
        struct slice bytes;
        bool whole;
        rc = skip_to_head(&w, &at, error);
        if (rc != RC_OK || at + LOG_HEAD_BYTES > segment->size) break;
        rc = look_at_head(&w, at, s->secret, &head, &bytes, &whole, error);
        if (rc != RC_OK || !whole || head.state.seq <= s->next_seq) continue;
        snprintf(error->text, sizeof error->text,
                 "the Raft log has batch %llu, but no whole batch %llu (segment %016llx, at %llu)",
                 (unsigned long long)head.state.seq, (unsigned long long)s->next_seq,
                 (unsigned long long)segment->number, (unsigned long long)segment->end);
        rc = RC_CORRUPT;
    }
    buf_free(&w.bytes);
    return rc;
}

static enum rc is_missing(const struct log_segment *segment, struct kv_error *error) {
    snprintf(error->text, sizeof error->text,
             "the Raft log's segment %016llx does not begin with a whole batch",
             (unsigned long long)segment->number);
    return RC_CORRUPT;
}

static enum rc settle(const struct log_files *f, struct kv_error *error) {
    for (size_t i = 0; i < f->count; i++) {
        if (fsync(f->items[i].fd) != 0) return folder_error(error, "sync", "the Raft log");
        (void)posix_fadvise(f->items[i].fd, 0, 0, POSIX_FADV_DONTNEED);
    }
    return folder_sync(f->folder.text, error);
}

enum rc log_scan(struct log_files *f, uint32_t secret, log_scan_fn *visit, void *arg,
                 struct log_scan_result *result, struct kv_error *error) {
    struct scan s = {.files = f, .secret = secret, .visit = visit, .arg = arg};
    *result = (struct log_scan_result){0};
    enum rc rc = settle(f, error);
    for (size_t i = 0; rc == RC_OK && i < f->count; i++) {
        rc = scan_segment(&s, &f->items[i], error);
        if (f->items[i].end == 0) continue;
        if (rc == RC_OK && result->segments < i) rc = is_missing(&f->items[i - 1], error);
        result->segments = i + 1;
    }
    for (size_t i = 0; rc == RC_OK && i < f->count; i++) rc = scan_rest(&s, &f->items[i], error);
    result->seq = s.next_seq > 0 ? s.next_seq - 1 : 0;
    return rc;
}
