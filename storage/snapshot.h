/* A snapshot: the state as of one log index, as a folder of files that no longer change, with a manifest that names
 * them. Made from the running keyspace by hard links (ks_snapshot_begin, writeback.h); read here in pieces to be sent,
 * taken in by snapshot_sink.h, put in the state's place by snapshot_install.h. Formats: storage/README.md.
 *
 * The folder:  manifest   state/CURRENT  state/MANIFEST-000004  state/000007.sst ...
 *
 * On the wire each file is followed by its CRC32C (4 bytes, little-endian), which belongs to the file's stream: a file of
 * n bytes ends at offset n + 4. So the sender reads each file once, and the receiver notices a file that was put
 * together from the wrong pieces. */
#ifndef STORAGE_SNAPSHOT_H
#define STORAGE_SNAPSHOT_H

#include "keyspace.h"
#include "kv.h"

enum {
    SNAPSHOT_CHUNK_BYTES = 256 << 10,
    SNAPSHOT_FILES_MAX = 200000,
    SNAPSHOT_NAME_MAX = 63,
    SNAPSHOT_MANIFEST_MAX = 16 << 20,
    SNAPSHOT_TRAILER_BYTES = 4,
};

struct snapshot_file {
    char name[SNAPSHOT_NAME_MAX + 1];
    uint64_t size; /* without the trailer */
};

struct snapshot_manifest {
    uint64_t id; /* random: two snapshots are never mixed up */
    struct ks_applied applied;
    uint64_t place_seed;
    uint64_t members_index;
    struct buf members; /* the cluster's configuration as of applied.index */
    struct snapshot_file *files;
    size_t file_count;
    uint64_t total_bytes; /* of all files, trailers included */
};

void snapshot_manifest_encode(struct buf *out, const struct snapshot_manifest *m); /* replaces *out */
/* RC_CORRUPT with a reason for anything but a manifest whose names are safe to make files of: letters, digits, '-', '_',
 * '.', not first; ascending, so no name comes twice. Free *out when it returned RC_OK. */
MUST_USE enum rc snapshot_manifest_decode(struct slice bytes, struct snapshot_manifest *out,
                                          struct kv_error *error);
void snapshot_manifest_free(struct snapshot_manifest *m);

/* What ks_snapshot_begin does on the storage thread: makes `folder` (its parent exists, it does not), the checkpoint in it
 * and the manifest, synced. RC_NOT_FOUND: nothing was ever stored. After a failure nothing is left of it. */
MUST_USE enum rc snapshot_make(struct kv *kv, const char *folder, struct kv_error *error);

/* --- reading one, in pieces; one thread, never much at a time --- */

struct snapshot_chunk {
    uint32_t file;
    uint64_t offset; /* within the file's stream */
    struct slice bytes;
};

struct snapshot_source;

MUST_USE enum rc snapshot_source_open(const char *folder, struct snapshot_source **out,
                                      struct kv_error *error);
struct slice snapshot_source_manifest(const struct snapshot_source *s); /* as it is sent */
const struct snapshot_manifest *snapshot_source_about(const struct snapshot_source *s);
/* Goes on at a place that a receiver named; false when there is no such place. */
MUST_USE bool snapshot_source_seek(struct snapshot_source *s, uint32_t file, uint64_t offset);
/* The next piece, at most SNAPSHOT_CHUNK_BYTES, good until the next call. RC_NOT_FOUND behind the last one. A piece
 * without bytes means: call again; a file that is resumed in its middle is read from its beginning, for its checksum.
 * RC_IO, RC_CORRUPT (a file is not as long as it was): this snapshot is no good. */
MUST_USE enum rc snapshot_source_next(struct snapshot_source *s, struct snapshot_chunk *out,
                                      struct kv_error *error);
uint64_t snapshot_source_left(const struct snapshot_source *s); /* bytes still to come */
/* The folder stays; folder_discard it when no source reads it any more. */
void snapshot_source_close(struct snapshot_source *s);

#endif
