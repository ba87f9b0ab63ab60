/* See lzf.h. */
#include "lzf.h"

enum {
    LZF_LITERAL_MAX = 32,
    LZF_MATCH_MIN = 3,
    LZF_MATCH_MAX = 264,
    LZF_LONG_MATCH = 7,      /* in the three bits: more in the next byte */
    LZF_DISTANCE_MAX = 8192, /* thirteen bits, less 1 */
    LZF_SLOT_BITS = 16,
};

/* A run of literal bytes is open behind its control byte, which is written when the run is closed. */
struct lzf_writer {
    char *out;
    size_t at, cap, run;
};

static void open_run(struct lzf_writer *w) {
    w->run = 0;
    w->at++;
}

static void close_run(struct lzf_writer *w) {
    if (w->run == 0)
        w->at--; /* no literal came: take the control byte back */
    else
        w->out[w->at - w->run - 1] = (char)(w->run - 1);
}

static bool add_literal(struct lzf_writer *w, char byte) {
    if (w->at >= w->cap) return false;
    w->out[w->at++] = byte;
    if (++w->run == LZF_LITERAL_MAX) {
        close_run(w);
        open_run(w);
    }
    return true;
}

static bool add_match(struct lzf_writer *w, size_t distance, size_t len) {
    if (w->at - (w->run == 0) + 4 >= w->cap) return false;
    close_run(w);
    size_t high = (distance - 1) >> 8, more = len - 2;
    if (more < LZF_LONG_MATCH) {
        w->out[w->at++] = (char)(more << 5 | high);
    } else {
        w->out[w->at++] = (char)(LZF_LONG_MATCH << 5 | high);
        w->out[w->at++] = (char)(more - LZF_LONG_MATCH);
    }
    w->out[w->at++] = (char)(distance - 1);
    open_run(w);
    return true;
}

static inline uint32_t lzf_slot(const char *p) {
    uint32_t h = (uint32_t)(uint8_t)p[0] << 16 | (uint32_t)(uint8_t)p[1] << 8 | (uint8_t)p[2];
    return ((h >> (24 - LZF_SLOT_BITS)) - h * 5) & ((1U << LZF_SLOT_BITS) - 1);
}

static size_t match_len(struct slice plain, size_t from, size_t at) {
    size_t max = plain.len - at - 2, len = LZF_MATCH_MIN;
    if (max > LZF_MATCH_MAX) max = LZF_MATCH_MAX;
    /* Two bytes are left for the next look; but the packer of Redis compares its first 16 without counting, and so
     * gets to the very end from here. */
    if (max == 17 || max == 18) max = 19;
    while (len < max && plain.data[from + len] == plain.data[at + len]) len++;
    return len;
}

/* Greedy: `seen` knows where three bytes with this hash were met last; position 0 stands for nowhere. */
static bool pack(struct lzf_writer *w, struct slice plain, uint32_t *seen) {
    const char *data = plain.data;
    size_t i = 0;
    open_run(w);
    while (i + 2 < plain.len) {
        uint32_t slot = lzf_slot(data + i);
        size_t from = seen[slot];
        seen[slot] = (uint32_t)i;
        if (from == 0 || i - from > LZF_DISTANCE_MAX || memcmp(data + from, data + i, LZF_MATCH_MIN) != 0) {
            if (!add_literal(w, data[i++])) return false;
            continue;
        }
        size_t len = match_len(plain, from, i);
        if (!add_match(w, i - from, len)) return false;
        i += len;
        if (i + 2 >= plain.len) break;
        /* Of the bytes skipped, remember only where the last two starts were. */
        seen[lzf_slot(data + i - 2)] = (uint32_t)(i - 2);
        seen[lzf_slot(data + i - 1)] = (uint32_t)(i - 1);
    }
    if (w->at + 3 > w->cap) return false;
    while (i < plain.len)
        if (!add_literal(w, data[i++])) return false;
    close_run(w);
    return true;
}

/* Forgets what was seen: cheaper than all of it for the short texts, of which a payload may hold very many. */
static void forget(uint32_t *seen, struct slice plain) {
    if (plain.len >= ((size_t)1 << LZF_SLOT_BITS) / 4) {
        memset(seen, 0, sizeof *seen << LZF_SLOT_BITS);
        return;
    }
    for (size_t i = 0; i + 2 < plain.len; i++) seen[lzf_slot(plain.data + i)] = 0;
}

size_t lzf_pack(struct slice plain, char *out, size_t out_cap) {
    static _Thread_local uint32_t seen[1 << LZF_SLOT_BITS]; /* all zero between calls */
    if (plain.len == 0 || plain.len > UINT32_MAX || out_cap == 0) return 0;
    struct lzf_writer w = {.out = out, .cap = out_cap};
    bool fits = pack(&w, plain, seen);
    forget(seen, plain);
    return fits ? w.at : 0;
}

/* A control byte below 32 starts a run of that many literal bytes and one more. Any other repeats earlier output:
 * its upper three bits are the length less 2 (7: more in the next byte), the lower five and one more byte the
 * distance less 1. */
bool lzf_unpack(struct slice packed, char *out, size_t out_len) {
    size_t at = 0;
    while (packed.len > 0) {
        uint8_t control, more = 0, low;
        struct slice literal;
        if (!slice_take_u8(&packed, &control)) return false;
        if (control < LZF_LITERAL_MAX) {
            if (!slice_take(&packed, (size_t)control + 1, &literal) || literal.len > out_len - at)
                return false;
            memcpy(out + at, literal.data, literal.len);
            at += literal.len;
            continue;
        }
        if (control >> 5 == LZF_LONG_MATCH && !slice_take_u8(&packed, &more)) return false;
        if (!slice_take_u8(&packed, &low)) return false;
        size_t len = (size_t)(control >> 5) + more + 2;
        size_t distance = ((size_t)(control & 0x1f) << 8 | low) + 1;
        if (distance > at || len > out_len - at) return false;
        /* Byte by byte: the source may run into what is being written, which repeats it. */
        for (; len > 0; len--, at++) out[at] = out[at - distance];
    }
    return at == out_len;
}
