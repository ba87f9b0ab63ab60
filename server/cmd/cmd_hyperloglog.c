/* PFADD, PFCOUNT, PFMERGE and what debugs them. The bytes are hll.c's; here are keys, checks and replies, in Redis's order.
 *
 * PFCOUNT of Redis stores what it has counted in the value. Here it is a read, which changes nothing: it answers from the
 * head of the value when that is up to date (a value may have come from Redis), and else counts. */
#include "events.h"
#include "handlers.h"

#include "hash.h"
#include "hll.h"
#include "num.h"

#define ERR_NOT_HLL     "WRONGTYPE Key is not a valid HyperLogLog string value."
#define ERR_CORRUPT_HLL "INVALIDOBJ Corrupted HLL object detected"

/* The bytes of a key that exists; false after answering when they are none of a HyperLogLog. */
static bool hll_of(struct cmd_ctx *c, const struct object *o, struct slice *out) {
    char scratch[NUM_I64_MAX_LEN];
    if (!cmd_is_type(c, o, OBJECT_STRING)) return false;
    *out = string_get(o, scratch);
    if (hll_is(*out)) return true; /* so it is no integer, and not in scratch */
    reply_error(c->reply, ERR_NOT_HLL);
    return false;
}

/* Whatever else a command does to it, the value is called raw from then on. */
static void call_raw(struct cmd_ctx *c, struct slice key, struct object *o) {
    if (o->encoding != ENCODING_RAW) string_open(c->ks, c->db, key, o, 0);
}

static void store(struct cmd_ctx *c, struct slice key, const struct buf *hll) {
    string_set_raw(c->ks, c->db, key, buf_slice(hll), true);
}

static void tell(struct cmd_ctx *c, struct slice key) {
    cmd_event(c, EVENT_STRING, "pfadd", key);
}

/* --- PFADD --- */

/* In place; the value is opened for writing at the first register that rises. */
static void add_to_dense(struct cmd_ctx *c, struct slice key, struct object *o) {
    char *bytes = NULL;
    for (int i = 2; i < c->argc; i++) {
        uint32_t index;
        uint8_t value;
        hll_place(c->argv[i], &index, &value);
        if (hll_dense_register(bytes != NULL ? bytes : o->as.bytes, index) >= value) continue;
        if (bytes == NULL) bytes = string_open(c->ks, c->db, key, o, 0);
        (void)hll_dense_raise(bytes, index, value);
    }
    if (bytes != NULL) {
        hll_forget_count(bytes);
        tell(c, key);
    }
    reply_int(c->reply, bytes != NULL);
}

static enum hll_outcome add_element(struct cmd_ctx *c, struct buf *hll, struct slice element) {
    struct hll_hint no_hint = {0};
    uint32_t index;
    uint8_t value;
    hll_place(element, &index, &value);
    if (hll_is_dense(buf_slice(hll)))
        return hll_dense_raise(hll->data, index, value) ? HLL_CHANGED : HLL_SAME;
    return hll_sparse_raise(hll, index, value, ks_limits(c->ks)->hll_sparse_max_bytes, &no_hint);
}

/* A copy of a sparse value, or a new one. What was added before an element found the value corrupt stays added. */
static void add_to_copy(struct cmd_ctx *c, struct slice key, struct object *o, struct buf *hll) {
    bool changed = o == NULL;
    enum hll_outcome outcome = HLL_SAME;
    for (int i = 2; i < c->argc && outcome != HLL_CORRUPT; i++) {
        outcome = add_element(c, hll, c->argv[i]);
        if (outcome == HLL_CHANGED) changed = true;
    }
    if (changed) {
        hll_forget_count(hll->data);
        store(c, key, hll);
        if (outcome != HLL_CORRUPT) tell(c, key);
    } else {
        call_raw(c, key, o);
    }
    if (outcome == HLL_CORRUPT)
        reply_error(c->reply, ERR_CORRUPT_HLL);
    else
        reply_int(c->reply, changed);
}

void cmd_pfadd(struct cmd_ctx *c) {
    struct slice key = c->argv[1], value;
    struct object *o = cmd_write(c, key);
    if (o != NULL && !hll_of(c, o, &value)) return;
    if (o != NULL && hll_is_dense(value)) {
        add_to_dense(c, key, o);
        return;
    }
    struct buf hll = {0};
    if (o != NULL)
        buf_add_slice(&hll, value);
    else
        hll_make(&hll);
    add_to_copy(c, key, o, &hll);
    buf_free(&hll);
}

/* --- PFCOUNT and PFMERGE --- */

/* Merges the registers of a key, if it exists; false after answering. */
static bool merge_key(struct cmd_ctx *c, const struct object *o, uint8_t *registers, bool *dense) {
    struct slice value;
    if (o == NULL) return true;
    if (!hll_of(c, o, &value)) return false;
    if (hll_is_dense(value)) *dense = true;
    if (hll_merge(registers, value)) return true;
    reply_error(c->reply, ERR_CORRUPT_HLL);
    return false;
}

static uint8_t *no_registers(struct cmd_ctx *c) {
    uint8_t *registers = arena_alloc(c->arena, HLL_REGISTER_COUNT);
    memset(registers, 0, HLL_REGISTER_COUNT);
    return registers;
}

static void count_union(struct cmd_ctx *c) {
    uint8_t *registers = no_registers(c);
    bool dense;
    for (int i = 1; i < c->argc; i++)
        if (!merge_key(c, cmd_read(c, c->argv[i]), registers, &dense)) return;
    reply_int(c->reply, (int64_t)hll_estimate(registers));
}

/* Counts of dense values, kept beside the registers they were counted from: where Redis remembers a count in the value, and
 * is asked for it again and again. The whole of the registers is compared, so an answer never depends on what is here. */
enum { REMEMBERED_MAX = 32, REGISTER_BYTES = HLL_DENSE_SIZE - HLL_HEAD_SIZE };
static struct remembered {
    bool used;
    uint64_t count;
    char registers[REGISTER_BYTES];
} remembered[REMEMBERED_MAX];

static void count_dense(struct slice key, struct slice value, uint64_t *count) {
    struct remembered *r = &remembered[hash64(key) % REMEMBERED_MAX];
    const char *registers = value.data + HLL_HEAD_SIZE;
    if (r->used && memcmp(r->registers, registers, REGISTER_BYTES) == 0) {
        *count = r->count;
        return;
    }
    CHECK(hll_count(value, count));
    r->used = true;
    r->count = *count;
    memcpy(r->registers, registers, REGISTER_BYTES);
}

/* False when the value is corrupt. */
static bool count_one(struct slice key, struct slice value, uint64_t *count) {
    if (hll_known_count(value, count)) return true;
    if (!hll_is_dense(value)) return hll_count(value, count);
    count_dense(key, value, count);
    return true;
}

void cmd_pfcount(struct cmd_ctx *c) {
    if (c->argc > 2) {
        count_union(c);
        return;
    }
    const struct object *o = cmd_read(c, c->argv[1]);
    struct slice value;
    uint64_t count = 0;
    if (o != NULL && !hll_of(c, o, &value)) return;
    if (o != NULL && !count_one(c->argv[1], value, &count))
        reply_error(c->reply, ERR_CORRUPT_HLL);
    else
        reply_int(c->reply, (int64_t)count);
}

/* Registers into a sparse one, from the first to the last, as the order decides about its bytes. */
static void raise_all(struct cmd_ctx *c, struct buf *hll, const uint8_t *registers) {
    int64_t bytes_max = ks_limits(c->ks)->hll_sparse_max_bytes;
    struct hll_hint hint = {0};
    for (uint32_t i = 0; i < HLL_REGISTER_COUNT; i++) {
        if (registers[i] == 0) continue;
        if (hll_sparse_raise(hll, i, registers[i], bytes_max, &hint) == HLL_CORRUPT)
            CHECK(false); /* it was merged, and so read whole, before */
        if (!hll_is_dense(buf_slice(hll))) continue;
        hll_set_registers(hll, registers);
        return;
    }
}

void cmd_pfmerge(struct cmd_ctx *c) {
    struct slice key = c->argv[1];
    uint8_t *registers = no_registers(c);
    bool dense = false;
    for (int i = 1; i < c->argc; i++)
        if (!merge_key(c, cmd_consult(c, c->argv[i]), registers, &dense)) return;

    struct object *o = cmd_write(c, key);
    struct buf hll = {0};
    if (o != NULL)
        buf_add_slice(&hll, string_get(o, NULL)); /* it was found to be a HyperLogLog, and so no integer */
    else
        hll_make(&hll);
    if (dense)
        hll_set_registers(&hll, registers);
    else
        raise_all(c, &hll, registers);
    hll_forget_count(hll.data);
    store(c, key, &hll);
    tell(c, key);
    buf_free(&hll);
    reply_ok(c->reply);
}

/* --- PFDEBUG --- */

/* True when it was sparse; false with *ok false after answering. */
static bool make_dense(struct cmd_ctx *c, struct slice key, struct slice value, bool *ok) {
    *ok = true;
    if (hll_is_dense(value)) return false;
    struct buf hll = {0};
    buf_add_slice(&hll, value);
    *ok = hll_make_dense(&hll);
    if (*ok)
        store(c, key, &hll);
    else
        reply_error(c->reply, ERR_CORRUPT_HLL);
    buf_free(&hll);
    return *ok;
}

static void debug_getreg(struct cmd_ctx *c, struct slice key, struct slice value) {
    bool ok;
    (void)make_dense(c, key, value, &ok);
    if (!ok) return;
    value = string_get(cmd_write(c, key), NULL);
    reply_array(c->reply, HLL_REGISTER_COUNT);
    for (uint32_t i = 0; i < HLL_REGISTER_COUNT; i++) reply_int(c->reply, hll_dense_register(value.data, i));
}

static void debug_decode(struct cmd_ctx *c, struct slice value) {
    if (hll_is_dense(value)) {
        reply_error(c->reply, "ERR HLL encoding is not sparse");
        return;
    }
    struct slice opcodes = slice_make(value.data + HLL_HEAD_SIZE, value.len - HLL_HEAD_SIZE);
    struct buf text = {0};
    struct hll_run run;
    while (hll_take_run(&opcodes, &run)) {
        if (text.len > 0) buf_add_byte(&text, ' ');
        if (run.value > 0)
            buf_printf(&text, "v:%d,%u", run.value, run.len);
        else
            buf_printf(&text, "%c:%u", run.size == 1 ? 'z' : 'Z', run.len);
    }
    reply_bulk(c->reply, buf_slice(&text));
    buf_free(&text);
}

void cmd_pfdebug(struct cmd_ctx *c) {
    struct slice word = c->argv[1], key = c->argv[2], value;
    struct object *o = cmd_write(c, key);
    if (o == NULL) {
        reply_error(c->reply, "ERR The specified key does not exist");
        return;
    }
    if (!hll_of(c, o, &value)) return;
    call_raw(c, key, o);
    value = string_get(o, NULL); /* which may have moved it */
    bool ok;
    if (slice_is(word, "getreg")) {
        debug_getreg(c, key, value);
    } else if (slice_is(word, "decode")) {
        debug_decode(c, value);
    } else if (slice_is(word, "encoding")) {
        reply_simple(c->reply, hll_is_dense(value) ? "dense" : "sparse");
    } else if (slice_is(word, "todense")) {
        bool converted = make_dense(c, key, value, &ok);
        if (ok) reply_int(c->reply, converted);
    } else {
        reply_errorf(c->reply, "ERR Unknown PFDEBUG subcommand '%.*s'", (int)word.len, word.data);
    }
}

/* --- PFSELFTEST --- */

enum { SELFTEST_ELEMENTS = 100000, SELFTEST_SPARSE_MAX = 1000 };

/* Registers that hold what was put into them, next to neighbours that do too. */
static bool registers_are_kept(struct cmd_ctx *c) {
    struct rng rng = {1};
    uint8_t *registers = no_registers(c);
    struct buf hll = {0};
    hll_make(&hll);
    bool good = hll_make_dense(&hll);
    for (int round = 0; good && round < 4 * HLL_REGISTER_COUNT; round++) {
        uint32_t index = (uint32_t)rng_below(&rng, HLL_REGISTER_COUNT);
        uint8_t value = (uint8_t)rng_below(&rng, 64);
        if (value > registers[index]) registers[index] = value;
        (void)hll_dense_raise(hll.data, index, value);
    }
    for (uint32_t i = 0; good && i < HLL_REGISTER_COUNT; i++)
        good = hll_dense_register(hll.data, i) == registers[i];
    buf_free(&hll);
    return good;
}

static bool is_near(uint64_t count, uint64_t real) {
    double error = (double)count - (double)real;
    return error * error <=
           0.06 * 0.06 * (double)real * (double)real + 16; /* over seven standard deviations */
}

/* Both encodings count alike, and nearly right. */
static bool counts_are_near(void) {
    struct buf sparse = {0}, dense = {0};
    struct rng rng = {2};
    hll_make(&sparse);
    hll_make(&dense);
    bool good = hll_make_dense(&dense);
    for (uint64_t real = 1; good && real <= SELFTEST_ELEMENTS; real++) {
        struct hll_hint no_hint = {0};
        uint64_t element = rng_next(&rng), count = 0, sparse_count = 0;
        uint32_t index;
        uint8_t value;
        hll_place(slice_make((const char *)&element, sizeof element), &index, &value);
        (void)hll_dense_raise(dense.data, index, value);
        if (real <= SELFTEST_SPARSE_MAX && !hll_is_dense(buf_slice(&sparse)))
            good = hll_sparse_raise(&sparse, index, value, INT64_MAX, &no_hint) != HLL_CORRUPT;
        if (real % 1000 != 0 && (real > 100 || real % 10 != 0)) continue;
        good = good && hll_count(buf_slice(&dense), &count) && is_near(count, real);
        if (real <= SELFTEST_SPARSE_MAX)
            good = good && hll_count(buf_slice(&sparse), &sparse_count) && count == sparse_count;
    }
    buf_free(&sparse);
    buf_free(&dense);
    return good;
}

void cmd_pfselftest(struct cmd_ctx *c) {
    if (!registers_are_kept(c))
        reply_error(c->reply, "TESTFAILED a register does not hold what was put into it");
    else if (!counts_are_near())
        reply_error(c->reply, "TESTFAILED an estimate is too far from what was added");
    else
        reply_ok(c->reply);
}
