/* A pack: a short sequence of strings and integers in one piece of memory, in the format that Redis calls a listpack, so
 * that a small collection is one value, a leaf of a big one is one row, and both enter a DUMP payload as they are.
 *
 *     total bytes u32le | entries u16le, 65535: unknown | entry ... | 0xff
 *
 * An entry is its encoding, its data, and its own length backwards, so that it can be walked from either end. A text that
 * spells a 64-bit integer canonically is kept as that integer and reads back as the same text.
 *
 * A pack lives in a buf that grows to what is needed and no further (never geometrically: there are many, and few grow).
 * Entries are named by their offset; 0 is none. Offsets are good until the next change. Bytes from outside must have
 * passed pack_valid(); everything else trusts them. */
#ifndef STORAGE_PACK_H
#define STORAGE_PACK_H

#include "buf.h"
#include "num.h"

/* What an entry holds, or shall hold. */
struct pack_value {
    struct slice text; /* unless is_int */
    int64_t integer;
    bool is_int;
};

/* A text, as an integer when it spells one canonically. */
struct pack_value pack_text(struct slice text);
/* Bytes that stay bytes, also when they spell an integer. */
static inline struct pack_value pack_bytes(struct slice bytes) {
    return (struct pack_value){.text = bytes};
}
static inline struct pack_value pack_integer(int64_t v) {
    return (struct pack_value){.integer = v, .is_int = true};
}
/* Bytes an entry of this value takes. */
size_t pack_value_size(struct pack_value v);

enum { PACK_EMPTY_SIZE = 7 };

/* Makes *p an empty pack, freeing nothing: for a zero buf, or one to be reused. */
void pack_begin(struct buf *p);
/* The number of entries: O(1) below 65535. */
size_t pack_count(struct slice p);

/* Walking: 0 when there is none. */
size_t pack_first(struct slice p);
size_t pack_last(struct slice p);
size_t pack_next(struct slice p, size_t at);
size_t pack_prev(struct slice p, size_t at);
/* From the front, or from the back when negative (-1 is the last); walks from the nearer end. */
size_t pack_seek(struct slice p, int64_t index);

struct pack_value pack_get(struct slice p, size_t at);
/* As text; an integer is spelled into `scratch` (NUM_I64_MAX_LEN bytes). */
struct slice pack_get_text(struct slice p, size_t at, char *scratch);
/* Whether the entry reads as this value; `v` from pack_text() when it comes from a client. */
bool pack_is(struct slice p, size_t at, const struct pack_value *v);
/* The first entry at or behind `from`, looking at every `stride`-th, that reads as `v`. */
size_t pack_find(struct slice p, size_t from, const struct pack_value *v, unsigned stride);

/* Changing. The value must not point into the pack. */
void pack_append(struct buf *p, struct pack_value v);
/* Before the entry at `at`, 0: at the end. Returns the offset of what was inserted. */
size_t pack_insert(struct buf *p, size_t at, struct pack_value v);
/* The entry keeps its offset. */
void pack_replace(struct buf *p, size_t at, struct pack_value v);
/* Removes up to `count` entries from `at` on. Returns the offset of the entry that follows, 0 at the end. */
size_t pack_remove(struct buf *p, size_t at, size_t count);
/* Moves all entries from `at` on to the end of `to` (`at` 0: none). */
void pack_move_tail(struct buf *from, size_t at, struct buf *to);
/* Moves all entries of `from` to the end of `to`; `from` is then empty. */
void pack_join(struct buf *to, struct buf *from);
/* Gives back memory beyond what is used. */
void pack_trim(struct buf *p);

/* Whether these bytes are a whole, well-formed pack, whoever made them: every entry walked from both ends, the
 * count right when it is known. *count, if given, gets the number of entries. */
bool pack_valid(struct slice p, size_t *count);

#endif
