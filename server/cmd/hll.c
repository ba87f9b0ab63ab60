/* See hll.h. Where to split and to join opcodes is decided as Redis does, since the bytes show it. */
#include "hll.h"

#include "check.h"

#include <math.h>

enum {
    REGISTER_BITS = 6,
    REGISTER_MASK = 63,
    INDEX_BITS = 14,
    HASH_BITS_LEFT = 64 - INDEX_BITS, /* Q of the paper: registers go up to Q + 1 */
    ZERO_LEN_MAX = 64,                /* of the short opcode */
    VALUE_LEN_MAX = 4,
    ENCODING_AT = 4,
    COUNT_AT = 8,
};
static const uint64_t count_stale = UINT64_C(1) << 63;

/* --- head --- */

bool hll_is(struct slice value) {
    if (value.len < HLL_HEAD_SIZE || memcmp(value.data, "HYLL", 4) != 0) return false;
    uint8_t encoding = (uint8_t)value.data[ENCODING_AT];
    return encoding == 1 || (encoding == 0 && value.len == HLL_DENSE_SIZE);
}

bool hll_known_count(struct slice hll, uint64_t *count) {
    uint64_t stored;
    memcpy(&stored, hll.data + COUNT_AT, sizeof stored);
    if (stored & count_stale) return false;
    *count = stored;
    return true;
}

void hll_forget_count(char *hll) {
    hll[COUNT_AT + 7] |= (char)0x80;
}

/* --- opcodes --- */

static size_t put_zeros(uint8_t *out, uint32_t len) {
    CHECK(len >= 1 && len <= HLL_REGISTER_COUNT);
    if (len <= ZERO_LEN_MAX) {
        out[0] = (uint8_t)(len - 1);
        return 1;
    }
    out[0] = (uint8_t)(0x40 | (len - 1) >> 8);
    out[1] = (uint8_t)(len - 1);
    return 2;
}

static size_t put_value(uint8_t *out, uint8_t value, uint32_t len) {
    CHECK(value >= 1 && value <= HLL_SPARSE_VALUE_MAX);
    CHECK(len >= 1 && len <= VALUE_LEN_MAX);
    out[0] = (uint8_t)(0x80 | (value - 1) << 2 | (int)(len - 1));
    return 1;
}

static inline bool is_value(uint8_t opcode) {
    return opcode & 0x80;
}

bool hll_take_run(struct slice *opcodes, struct hll_run *run) {
    if (opcodes->len == 0) return false;
    uint8_t first = (uint8_t)opcodes->data[0];
    if (is_value(first)) {
        *run =
            (struct hll_run){.value = (uint8_t)((first >> 2 & 31) + 1), .len = (first & 3) + 1u, .size = 1};
    } else if ((first & 0x40) == 0) {
        *run = (struct hll_run){.len = first + 1u, .size = 1};
    } else {
        if (opcodes->len < 2) return false;
        uint8_t second = (uint8_t)opcodes->data[1];
        *run = (struct hll_run){.len = ((first & 63u) << 8 | second) + 1, .size = 2};
    }
    *opcodes = slice_make(opcodes->data + run->size, opcodes->len - run->size);
    return true;
}

static inline struct slice opcodes_of(struct slice hll) {
    return slice_make(hll.data + HLL_HEAD_SIZE, hll.len - HLL_HEAD_SIZE);
}

void hll_make(struct buf *out) {
    uint8_t zeros[2];
    buf_clear(out);
    buf_add(out, "HYLL\1\0\0\0\0\0\0\0\0\0\0\0", HLL_HEAD_SIZE);
    buf_add(out, zeros, put_zeros(zeros, HLL_REGISTER_COUNT));
}

/* --- hashing --- */

/* MurmurHash2 in its 64-bit form, with the seed Redis gave it; both are part of the format. */
static uint64_t hash_of(struct slice bytes) {
    const uint64_t m = UINT64_C(0xc6a4a7935bd1e995);
    const char *p = bytes.data;
    size_t left = bytes.len;
    uint64_t h = UINT64_C(0xadc83b19) ^ (bytes.len * m);
    for (; left >= 8; p += 8, left -= 8) {
        uint64_t k;
        memcpy(&k, p, sizeof k);
        k *= m;
        k ^= k >> 47;
        h = (h ^ k * m) * m;
    }
    if (left > 0) {
        uint64_t k = 0;
        memcpy(&k, p, left);
        h = (h ^ k) * m;
    }
    h = (h ^ h >> 47) * m;
    return h ^ h >> 47;
}

void hll_place(struct slice element, uint32_t *index, uint8_t *value) {
    uint64_t hash = hash_of(element);
    *index = hash & (HLL_REGISTER_COUNT - 1);
    uint64_t rest = hash >> INDEX_BITS | UINT64_C(1) << HASH_BITS_LEFT; /* so that there is a 1 to find */
    *value = (uint8_t)(__builtin_ctzll(rest) + 1);
}

/* --- dense --- */

uint8_t hll_dense_register(const char *hll, uint32_t index) {
    CHECK(index < HLL_REGISTER_COUNT);
    uint32_t bit = index * REGISTER_BITS;
    const char *p = hll + HLL_HEAD_SIZE + bit / 8;
    unsigned shift = bit & 7, bits = (uint8_t)p[0];
    if (shift > 8 - REGISTER_BITS) bits |= (unsigned)(uint8_t)p[1] << 8;
    return bits >> shift & REGISTER_MASK;
}

static void dense_set(char *hll, uint32_t index, uint8_t value) {
    uint32_t bit = index * REGISTER_BITS;
    char *p = hll + HLL_HEAD_SIZE + bit / 8;
    unsigned shift = bit & 7;
    p[0] = (char)((uint8_t)p[0] & ~(REGISTER_MASK << shift));
    p[0] = (char)((uint8_t)p[0] | (unsigned)value << shift);
    if (shift > 8 - REGISTER_BITS) {
        p[1] = (char)((uint8_t)p[1] & ~(REGISTER_MASK >> (8 - shift)));
        p[1] = (char)((uint8_t)p[1] | value >> (8 - shift));
    }
}

bool hll_dense_raise(char *hll, uint32_t index, uint8_t value) {
    CHECK(value <= REGISTER_MASK);
    if (hll_dense_register(hll, index) >= value) return false;
    dense_set(hll, index, value);
    return true;
}

/* --- many registers --- */

/* Six bytes hold eight registers. They are read with the two before them, which are there, as one word. */
static inline uint64_t eight_registers(const char *hll, size_t group) {
    uint64_t word;
    memcpy(&word, hll + HLL_HEAD_SIZE + group * 6 - 2, sizeof word);
    return word >> 16;
}

/* Eight registers of 6 bits, one behind the other, become the bytes of a word; and back. Each step halves the groups. */
static inline uint64_t spread(uint64_t six) {
    six = (six & UINT64_C(0xffffff)) | (six & UINT64_C(0xffffff000000)) << 8;
    six = (six & UINT64_C(0x00000fff00000fff)) | (six & UINT64_C(0x00fff00000fff000)) << 4;
    return (six & UINT64_C(0x003f003f003f003f)) | (six & UINT64_C(0x0fc00fc00fc00fc0)) << 2;
}

static inline uint64_t gather(uint64_t eight) {
    eight = (eight & UINT64_C(0x003f003f003f003f)) | (eight & UINT64_C(0x3f003f003f003f00)) >> 2;
    eight = (eight & UINT64_C(0x00000fff00000fff)) | (eight & UINT64_C(0x0fff00000fff0000)) >> 4;
    return (eight & UINT64_C(0xffffff)) | (eight & UINT64_C(0xffffff00000000)) >> 8;
}

void hll_set_registers(struct buf *hll, const uint8_t registers[HLL_REGISTER_COUNT]) {
    CHECK(hll->len >= HLL_HEAD_SIZE);
    hll->len = HLL_HEAD_SIZE;
    buf_reserve(hll, HLL_DENSE_SIZE + 2 - HLL_HEAD_SIZE);
    char *at = buf_tail(hll);
    for (size_t i = 0; i < HLL_REGISTER_COUNT; i += 8, at += 6) {
        uint64_t eight;
        memcpy(&eight, registers + i, sizeof eight);
        eight = gather(eight);
        memcpy(at, &eight, sizeof eight); /* two bytes more than there are; the next six cover them */
    }
    hll->data[ENCODING_AT] = 0;
    hll->len = HLL_DENSE_SIZE;
}

static void merge_dense(uint8_t max[HLL_REGISTER_COUNT], struct slice hll) {
    uint8_t registers[HLL_REGISTER_COUNT];
    for (size_t group = 0; group < HLL_REGISTER_COUNT / 8; group++) {
        uint64_t eight = spread(eight_registers(hll.data, group));
        memcpy(registers + group * 8, &eight, sizeof eight);
    }
    for (size_t i = 0; i < HLL_REGISTER_COUNT; i++) max[i] = registers[i] > max[i] ? registers[i] : max[i];
}

bool hll_merge(uint8_t max[HLL_REGISTER_COUNT], struct slice hll) {
    if (hll_is_dense(hll)) {
        merge_dense(max, hll);
        return true;
    }
    struct slice opcodes = opcodes_of(hll);
    struct hll_run run;
    uint32_t index = 0;
    while (hll_take_run(&opcodes, &run)) {
        if (run.len > HLL_REGISTER_COUNT - index) return false;
        uint32_t end = index + run.len;
        if (run.value == 0) index = end;
        for (; index < end; index++)
            if (run.value > max[index]) max[index] = run.value;
    }
    return index == HLL_REGISTER_COUNT && opcodes.len == 0;
}

bool hll_make_dense(struct buf *hll) {
    uint8_t registers[HLL_REGISTER_COUNT] = {0};
    if (!hll_merge(registers, buf_slice(hll))) return false;
    hll_set_registers(hll, registers);
    return true;
}

/* --- sparse --- */

static enum hll_outcome raise_densely(struct buf *hll, uint32_t index, uint8_t value) {
    if (!hll_make_dense(hll)) return HLL_CORRUPT;
    (void)hll_dense_raise(hll->data, index, value);
    return HLL_CHANGED;
}

/* An opcode, by its place in the value, and the first register it covers. */
struct place {
    size_t at;
    uint32_t first;
};

/* The opcode that covers a register and the one before it; that is `found` itself when there is none. */
static bool find_opcode(struct slice hll, uint32_t index, const struct hll_hint *hint, struct place *found,
                        struct place *before) {
    struct place here = {HLL_HEAD_SIZE, 0}, last = here;
    if (hint->at != 0 && hint->first <= index) here = last = (struct place){hint->at, hint->first};
    const uint8_t *bytes = (const uint8_t *)hll.data;
    while (here.at < hll.len) {
        uint8_t opcode = bytes[here.at];
        uint32_t len, size = 1;
        if (is_value(opcode)) {
            len = (opcode & 3) + 1u;
        } else if ((opcode & 0x40) == 0) {
            len = opcode + 1u;
        } else {
            if (hll.len - here.at < 2) return false;
            len = ((opcode & 63u) << 8 | bytes[here.at + 1]) + 1;
            size = 2;
        }
        if (index < here.first + len) {
            *found = here;
            *before = last;
            return true;
        }
        last = here;
        here = (struct place){here.at + size, here.first + len};
    }
    return false;
}

/* The opcodes for a run in which one register becomes `value`; at most five bytes. */
static size_t split_run(uint8_t out[5], struct hll_run run, uint32_t first, uint32_t index, uint8_t value) {
    uint32_t before = index - first, behind = run.len - before - 1;
    size_t n = 0;
    if (before > 0) n += run.value == 0 ? put_zeros(out + n, before) : put_value(out + n, run.value, before);
    n += put_value(out + n, value, 1);
    if (behind > 0) n += run.value == 0 ? put_zeros(out + n, behind) : put_value(out + n, run.value, behind);
    return n;
}

/* Joins neighbours of equal value, looking at five opcodes from `at` on; a join counts as a look. */
static void join_values(struct buf *hll, size_t at) {
    uint8_t *bytes = (uint8_t *)hll->data;
    for (int looks = 5; looks > 0 && at < hll->len; looks--) {
        uint8_t opcode = bytes[at];
        if (!is_value(opcode)) {
            at += opcode & 0x40 ? 2 : 1;
            continue;
        }
        uint8_t next = at + 1 < hll->len ? bytes[at + 1] : 0;
        uint32_t len = (opcode & 3) + 1u + (next & 3) + 1u;
        if (is_value(next) && (opcode & ~3) == (next & ~3) && len <= VALUE_LEN_MAX) {
            bytes[at + 1] = (uint8_t)((opcode & ~3) | (int)(len - 1));
            memmove(bytes + at, bytes + at + 1, hll->len - at - 1);
            hll->len--;
        } else {
            at++;
        }
    }
}

enum hll_outcome hll_sparse_raise(struct buf *hll, uint32_t index, uint8_t value, int64_t bytes_max,
                                  struct hll_hint *hint) {
    CHECK(index < HLL_REGISTER_COUNT);
    CHECK(value >= 1 && value <= REGISTER_MASK);
    if (value > HLL_SPARSE_VALUE_MAX) return raise_densely(hll, index, value);

    struct place found, before;
    if (!find_opcode(buf_slice(hll), index, hint, &found, &before)) return HLL_CORRUPT;
    if (found.at == before.at &&
        found.at != HLL_HEAD_SIZE) { /* the hint was too close to know what is before */
        *hint = (struct hll_hint){0};
        if (!find_opcode(buf_slice(hll), index, hint, &found, &before)) return HLL_CORRUPT;
    }
    struct slice rest = slice_make(hll->data + found.at, hll->len - found.at);
    struct hll_run run;
    CHECK(hll_take_run(&rest, &run));
    if (run.value >= value) return HLL_SAME;

    uint8_t opcodes[5];
    size_t size = split_run(opcodes, run, found.first, index, value);
    if (size > run.size) {
        if ((int64_t)(hll->len + size - run.size) > bytes_max) return raise_densely(hll, index, value);
        buf_reserve(hll, size - run.size);
    }
    char *at = hll->data + found.at;
    memmove(at + size, at + run.size, rest.len);
    memcpy(at, opcodes, size);
    hll->len = found.at + size + rest.len;
    join_values(hll, before.at);
    hll_forget_count(hll->data);
    *hint = (struct hll_hint){.at = before.at, .first = before.first};
    return HLL_CHANGED;
}

/* --- estimating --- */

enum { VALUE_COUNT = REGISTER_MASK + 1 };

/* How many registers have each value. */
struct histogram {
    uint32_t of[VALUE_COUNT];
};

/* Registers are counted in pairs, which makes half as many additions; in two tables, so that pairs that are alike need not
 * wait for each other. A pair is 12 bits, as in a dense value. */
struct pairs {
    uint16_t of[2][VALUE_COUNT * VALUE_COUNT];
};

static inline void count_four_pairs(struct pairs *p, uint64_t six) {
    enum { PAIR_MASK = VALUE_COUNT * VALUE_COUNT - 1 };
    p->of[0][six & PAIR_MASK]++;
    p->of[1][six >> 12 & PAIR_MASK]++;
    p->of[0][six >> 24 & PAIR_MASK]++;
    p->of[1][six >> 36 & PAIR_MASK]++;
}

static void add_pairs(struct histogram *h, const struct pairs *p) {
    for (size_t high = 0; high < VALUE_COUNT; high++) {
        uint32_t sum = 0;
        for (size_t low = 0; low < VALUE_COUNT; low++) {
            uint32_t count = p->of[0][high * VALUE_COUNT + low];
            count += p->of[1][high * VALUE_COUNT + low];
            h->of[low] += count;
            sum += count;
        }
        h->of[high] += sum;
    }
}

static void histogram_dense(struct histogram *h, struct slice hll) {
    struct pairs p = {0};
    for (size_t group = 0; group < HLL_REGISTER_COUNT / 8; group++)
        count_four_pairs(&p, eight_registers(hll.data, group));
    add_pairs(h, &p);
}

static void histogram_registers(struct histogram *h, const uint8_t registers[HLL_REGISTER_COUNT]) {
    struct pairs p = {0};
    for (size_t i = 0; i < HLL_REGISTER_COUNT; i += 8) {
        uint64_t eight;
        memcpy(&eight, registers + i, sizeof eight);
        count_four_pairs(&p, gather(eight));
    }
    add_pairs(h, &p);
}

static bool histogram_sparse(struct histogram *h, struct slice hll) {
    struct slice opcodes = opcodes_of(hll);
    struct hll_run run;
    uint64_t registers = 0;
    while (hll_take_run(&opcodes, &run)) {
        h->of[run.value] += run.len;
        registers += run.len;
        if (registers > HLL_REGISTER_COUNT) return false;
    }
    return registers == HLL_REGISTER_COUNT && opcodes.len == 0;
}

/* The paper's tau, for the registers that are as high as can be: a series that ends when its terms vanish. */
static double tau(double x) {
    if (x == 0 || x == 1) return 0;
    double before, power = 1, sum = 1 - x;
    do {
        x = sqrt(x);
        before = sum;
        power *= 0.5;
        sum -= (1 - x) * (1 - x) * power;
    } while (before != sum);
    return sum / 3;
}

/* And its sigma, for the registers that are 0. */
static double sigma(double x) {
    if (x == 1) return INFINITY;
    double before, power = 1, sum = x;
    do {
        x *= x;
        before = sum;
        sum += x * power;
        power += power;
    } while (before != sum);
    return sum;
}

static uint64_t estimate(const struct histogram *h) {
    const double alpha = 0.721347520444481703680; /* 1 / (2 ln 2) */
    const double m = HLL_REGISTER_COUNT;
    double z = m * tau((m - h->of[HASH_BITS_LEFT + 1]) / m);
    for (int value = HASH_BITS_LEFT; value >= 1; value--) z = (z + h->of[value]) * 0.5;
    z += m * sigma(h->of[0] / m);
    return (uint64_t)llroundl((long double)(alpha * m * m / z));
}

uint64_t hll_estimate(const uint8_t registers[HLL_REGISTER_COUNT]) {
    struct histogram h = {0};
    histogram_registers(&h, registers);
    return estimate(&h);
}

bool hll_count(struct slice hll, uint64_t *count) {
    struct histogram h = {0};
    if (hll_is_dense(hll))
        histogram_dense(&h, hll);
    else if (!histogram_sparse(&h, hll))
        return false;
    *count = estimate(&h);
    return true;
}
