/* See ptree.h: a treap of counted nodes. A node that only one version holds is changed in place; one that is shared is
 * copied first, with the path above it. Priorities come from the keys, so equal contents have equal shapes. */
#include "ptree.h"

#include "check.h"
#include "hash.h"
#include "mem.h"

struct row {
    uint32_t refs, key_len;
    size_t value_len;
    char bytes[];
};

struct ptree {
    uint32_t refs;
    uint64_t priority;
    size_t count, bytes;
    struct ptree *left, *right;
    struct row *row;
};

static struct slice key_of(const struct ptree *t) {
    return slice_make(t->row->bytes, t->row->key_len);
}

static void row_drop(struct row *r) {
    if (--r->refs == 0) mem_free(r);
}

struct ptree *ptree_keep(struct ptree *t) {
    if (t != NULL) t->refs++;
    return t;
}

void ptree_drop(struct ptree *t) {
    if (t == NULL || --t->refs > 0) return;
    ptree_drop(t->left);
    ptree_drop(t->right);
    row_drop(t->row);
    mem_free(t);
}

size_t ptree_count(const struct ptree *t) {
    return t != NULL ? t->count : 0;
}
size_t ptree_bytes(const struct ptree *t) {
    return t != NULL ? t->bytes : 0;
}

static struct ptree *measure(struct ptree *t) {
    t->count = 1 + ptree_count(t->left) + ptree_count(t->right);
    t->bytes = t->row->key_len + t->row->value_len + ptree_bytes(t->left) + ptree_bytes(t->right);
    return t;
}

/* The caller's own node, with the same content. */
static struct ptree *own(struct ptree *t) {
    if (t->refs == 1) return t;
    struct ptree *copy = mem_alloc(sizeof *copy);
    *copy = *t;
    copy->refs = 1;
    ptree_keep(copy->left);
    ptree_keep(copy->right);
    copy->row->refs++;
    t->refs--;
    return copy;
}

/* Keys below `key` go left, the others right. */
static void split(struct ptree *t, struct slice key, struct ptree **left, struct ptree **right) {
    if (t == NULL) {
        *left = *right = NULL;
        return;
    }
    t = own(t);
    if (slice_cmp(key_of(t), key) < 0) {
        struct ptree *rest;
        split(t->right, key, &rest, right);
        t->right = rest;
        *left = measure(t);
    } else {
        struct ptree *rest;
        split(t->left, key, left, &rest);
        t->left = rest;
        *right = measure(t);
    }
}

static struct ptree *join(struct ptree *left, struct ptree *right) {
    if (left == NULL) return right;
    if (right == NULL) return left;
    if (left->priority > right->priority) {
        left = own(left);
        left->right = join(left->right, right);
        return measure(left);
    }
    right = own(right);
    right->left = join(left, right->left);
    return measure(right);
}

static struct ptree *insert(struct ptree *t, struct row *row, uint64_t priority) {
    struct slice key = slice_make(row->bytes, row->key_len);
    if (t == NULL || (priority > t->priority && !slice_eq(key_of(t), key))) {
        struct ptree *n = mem_calloc(1, sizeof *n);
        n->refs = 1;
        n->priority = priority;
        n->row = row;
        split(t, key, &n->left, &n->right);
        return measure(n);
    }
    t = own(t);
    int order = slice_cmp(key, key_of(t));
    if (order == 0) {
        row_drop(t->row);
        t->row = row;
    } else if (order < 0) {
        t->left = insert(t->left, row, priority);
    } else {
        t->right = insert(t->right, row, priority);
    }
    return measure(t);
}

struct ptree *ptree_put(struct ptree *t, struct slice key, struct slice head, struct slice tail) {
    struct row *row = mem_alloc(sizeof *row + key.len + head.len + tail.len);
    row->refs = 1;
    row->key_len = (uint32_t)key.len;
    row->value_len = head.len + tail.len;
    if (key.len > 0) memcpy(row->bytes, key.data, key.len);
    if (head.len > 0) memcpy(row->bytes + key.len, head.data, head.len);
    if (tail.len > 0) memcpy(row->bytes + key.len + head.len, tail.data, tail.len);
    return insert(t, row, hash64(key));
}

struct ptree *ptree_delete_range(struct ptree *t, struct slice from, struct slice to) {
    if (slice_cmp(from, to) >= 0) return t;
    struct ptree *left, *middle, *right;
    split(t, from, &left, &middle);
    split(middle, to, &middle, &right);
    ptree_drop(middle);
    return join(left, right);
}

struct ptree *ptree_delete(struct ptree *t, struct slice key) {
    if (t == NULL) return NULL;
    int order = slice_cmp(key, key_of(t));
    if (order != 0 && (order < 0 ? t->left : t->right) == NULL) return t;
    t = own(t);
    if (order == 0) {
        struct ptree *both = join(ptree_keep(t->left), ptree_keep(t->right));
        ptree_drop(t);
        return both;
    }
    if (order < 0)
        t->left = ptree_delete(t->left, key);
    else
        t->right = ptree_delete(t->right, key);
    return measure(t);
}

/* --- looking --- */

static bool found(const struct ptree *t, struct ptree_row *out) {
    if (t == NULL) return false;
    *out = (struct ptree_row){key_of(t), slice_make(t->row->bytes + t->row->key_len, t->row->value_len)};
    return true;
}

static bool cursor_row(const struct ptree_cursor *at, struct ptree_row *out) {
    return at->depth > 0 && found(at->path[at->depth - 1], out);
}

static void cursor_push(struct ptree_cursor *at, const struct ptree *t) {
    CHECK(at->depth < PTREE_DEPTH_MAX);
    at->path[at->depth++] = t;
}

bool ptree_seek(const struct ptree *t, struct slice key, struct ptree_cursor *at, struct ptree_row *out) {
    at->depth = 0;
    while (t != NULL) {
        bool is_before = slice_cmp(key_of(t), key) < 0;
        if (!is_before) cursor_push(at, t);
        t = is_before ? t->right : t->left;
    }
    return cursor_row(at, out);
}

bool ptree_next(struct ptree_cursor *at, struct ptree_row *out) {
    CHECK(at->depth > 0);
    const struct ptree *t = at->path[--at->depth]->right;
    for (; t != NULL; t = t->left) cursor_push(at, t);
    return cursor_row(at, out);
}

bool ptree_at_or_before(const struct ptree *t, struct slice key, struct ptree_row *out) {
    const struct ptree *best = NULL;
    while (t != NULL) {
        if (slice_cmp(key_of(t), key) <= 0) {
            best = t;
            t = t->right;
        } else {
            t = t->left;
        }
    }
    return found(best, out);
}

bool ptree_get(const struct ptree *t, struct slice key, struct ptree_row *out) {
    while (t != NULL) {
        int order = slice_cmp(key, key_of(t));
        if (order == 0) return found(t, out);
        t = order < 0 ? t->left : t->right;
    }
    return false;
}

bool ptree_nth(const struct ptree *t, size_t n, struct ptree_row *out) {
    while (t != NULL) {
        size_t left = ptree_count(t->left);
        if (n == left) return found(t, out);
        if (n < left) {
            t = t->left;
        } else {
            n -= left + 1;
            t = t->right;
        }
    }
    return false;
}
