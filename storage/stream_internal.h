/* The insides of streams, shared by type_stream.c (the stream and its entries), type_stream_node.c (the format of a leaf) and
 * type_stream_group.c (groups and what is pending). Whoever reads and writes payloads of DUMP may include it too. */
#ifndef STORAGE_STREAM_INTERNAL_H
#define STORAGE_STREAM_INTERNAL_H

#include "collection.h"
#include "type_stream.h"

enum { STREAM_ENTRY_DELETED = 1, STREAM_ENTRY_SAME_FIELDS = 2 };

struct stream {
    struct collection c;
    struct stream_state state;
    struct stream_group **groups; /* by name */
    size_t group_count, group_cap;
};

static inline struct stream *stream_of(const struct object *o) {
    CHECK(o->type == OBJECT_STREAM);
    return (struct stream *)(void *)object_collection(o);
}

/* --- type_stream_node.c --- */

extern const struct tree_kind stream_kind;

void stream_node_open(struct stream_node *n, struct slice pack);
/* An empty one for entries from this id on, with these fields in its master entry. */
void stream_node_begin(struct buf *pack, struct stream_id master, const struct slice *pairs,
                       size_t pair_count);
void stream_node_append(struct buf *pack, struct stream_id id, const struct slice *pairs, size_t pair_count);
/* Reads the entry at `at`; returns where the next one is, 0 at the end. */
size_t stream_entry_read(const struct stream_node *n, size_t at, struct stream_entry *e);
/* The id of the last entry, though it be deleted. */
struct stream_id stream_node_last_id(const struct stream_node *n);
/* Marks the entry at `at` and nothing else; offsets stay as they are. */
void stream_node_mark(struct buf *pack, const struct stream_entry *e);
/* So many of the entries were marked. */
void stream_node_count_marked(struct buf *pack, int64_t marked);
/* Whether a well-formed pack is a node; *last is the last id of what is not deleted, or the master's. */
bool stream_node_valid(struct slice pack, struct stream_id *last);

/* The bytes of the two entries in front of Redis's own node. */
size_t stream_node_prefix(struct slice pack);

/* --- type_stream_group.c --- */

void stream_groups_add(struct buf *out, const struct stream *s);
bool stream_groups_take(struct stream *s, struct slice *in);
/* Builds the consumers' trees; false when something pending belongs to nobody. */
bool stream_groups_loaded(struct stream *s);
void stream_groups_copy(struct stream *to, const struct stream *from);
void stream_groups_drop(struct stream *s);
void stream_groups_digest(struct buf *out, const struct stream *s);

#endif
