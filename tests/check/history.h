/* What clients saw of a datastore, and whether it can be explained: is there one order of all operations, each at an
 * instant between its start and its end, in which a single machine would have given the same answers (Herlihy and
 * Wing's linearizability)? Operations name one key, and keys do not influence each other, so each key is checked alone.
 *
 *     struct history *h = history_new();
 *     size_t op = history_start(h, client, OP_SET, SLICE("k"), SLICE("v1"), now);
 *     history_end(h, op, later, result_text(SLICE("OK")));       or history_refuse(h, op, later), or nothing: unknown
 *     if (history_check(h, &why) != HISTORY_LINEARIZABLE) puts(why.data);
 *
 * Three ways to end, and they are not the same:
 *   answered   took effect exactly once, between start and end, and gave this result
 *   refused    a definite error: never took effect
 *   unknown    no answer (a lost connection, a time-out): took effect once at any time after its start, or never
 *
 * One client's answered operations on a key take effect in the order in which they were started, also when they overlap (a
 * pipeline). A client that lost its connection goes on under a new number.
 *
 * Values written should be unique in the history: a checker can tell only values apart. Times are of one clock, in any unit. */
#ifndef CHECK_HISTORY_H
#define CHECK_HISTORY_H

#include "buf.h"
#include "check.h"

enum op_kind {
    OP_GET,    /* -> the value, or nil */
    OP_STRLEN, /* -> its length, 0 for nil */
    OP_SET,    /* value -> OK */
    OP_SETNX,  /* value -> 1, or 0 and no change when there was a value */
    OP_GETSET, /* value -> the value before, or nil (SET ... GET is the same) */
    OP_DEL,    /* -> 1, or 0 when there was none */
    OP_GETDEL, /* -> the value before, or nil */
    OP_INCRBY, /* number -> the sum; INCR in the text is INCRBY 1 */
    OP_APPEND, /* text -> the length after */
    /* Lists, as text: every item is followed by a comma. */
    OP_RPUSH,  /* item, without a comma -> the number of items after */
    OP_LPOP,   /* -> the first item, or nil; a list without items is nil */
    OP_LRANGE, /* the whole list -> "a,b,c,"; nil when it is empty */
    OP_KINDS
};

struct result {
    bool is_nil;
    struct slice text; /* numbers in decimal */
};
static inline struct result result_text(struct slice text) {
    return (struct result){false, text};
}
static inline struct result result_nil(void) {
    return (struct result){.is_nil = true};
}

enum op_outcome { OP_UNKNOWN, OP_ANSWERED, OP_REFUSED };

struct op {
    uint32_t client;
    enum op_kind kind;
    enum op_outcome outcome;
    struct slice key, arg;
    struct result result; /* when answered; when refused, `text` says why, if anybody said */
    uint64_t start, end;  /* `end` of an unknown one: UINT64_MAX */
};

struct history;

struct history *history_new(void);
void history_free(struct history *h);

/* Both copy the bytes. The number returned is the operation's for good: 0, 1, ... */
size_t history_start(struct history *h, uint32_t client, enum op_kind kind, struct slice key,
                     struct slice arg, uint64_t start);
void history_end(struct history *h, size_t op, uint64_t end, struct result result);
void history_refuse(struct history *h, size_t op, uint64_t end, struct slice why);

size_t history_count(const struct history *h);
const struct op *history_op(const struct history *h, size_t op);

/* The text format (README.md). Reading appends to the history and stops at the first line that is wrong: RC_INVALID, and
 * *line is its number. */
const char *op_kind_name(enum op_kind kind);
MUST_USE enum rc history_read(struct history *h, struct slice text, size_t *line);
void history_write_op(const struct op *op, struct buf *out);

enum history_verdict {
    HISTORY_LINEARIZABLE,
    HISTORY_NOT_LINEARIZABLE, /* *why explains the earliest contradiction of one key */
    HISTORY_UNDECIDED,        /* the search of a key outgrew its bound; no key checked before was wrong */
};
/* *why is appended to when the verdict is not good; may be NULL. Takes memory in proportion to what is concurrent. */
enum history_verdict history_check(const struct history *h, struct buf *why);

#endif
