/* The forms in which Redis before 7.0 kept small collections, only to be read: a stranger's bytes, refused when they are not
 * wholly well-formed.
 *
 *     ziplist:  total bytes u32le | offset of the last entry u32le | entries u16le, 65535: unknown | entry ... | 0xff
 *       entry:  bytes of the entry before: one below 254, or 254 and u32le
 *               00llllll | 01llllll llllllll | 10...... and 4 bytes: a text; its length big-endian
 *               c0, d0, e0, f0, fe: an integer of 2, 4, 8, 3, 1 bytes, little-endian | f1 ... fd: 0 ... 12
 *     zipmap:   pairs, 254: unknown | pair ... | 0xff
 *       pair:   length, field, length, unused bytes (1), value, so many unused ones
 *               a length: one byte below 254, or 254 and u32le */
#ifndef STORAGE_RDB_OLD_H
#define STORAGE_RDB_OLD_H

#include "pack.h"

/* False: no more of them, it cannot be kept. */
typedef bool rdb_item_fn(void *arg, struct pack_value v);
/* Calls `item` for each entry, in order; a zipmap's are field, value, field, value ... */
bool ziplist_read(struct slice bytes, rdb_item_fn *item, void *arg);
bool zipmap_read(struct slice bytes, rdb_item_fn *item, void *arg);

#endif
