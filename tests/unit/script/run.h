/* Scripts in a unit test: an engine, and a world whose only command, `raw`, answers with the RESP it is given. */
#ifndef TESTS_UNIT_SCRIPT_RUN_H
#define TESTS_UNIT_SCRIPT_RUN_H

#include "script.h"
#include "sha.h"

#include "test.h"

struct world {
    struct buf log;
    int calls, resp; /* how many, and the protocol of the last */
    uint64_t checkpoints;
    const char *end; /* what checkpoint `end_at` says */
    uint64_t end_at;
};

static inline void world_call(void *arg, int argc, const struct slice *argv, int resp, struct buf *reply) {
    struct world *w = arg;
    w->calls++;
    w->resp = resp;
    if (argc == 2 && slice_eq(argv[0], SLICE("raw")))
        buf_add_slice(reply, argv[1]);
    else if (argc == 2)
        buf_printf(reply, "+%.*s(%.*s)\r\n", (int)argv[0].len, argv[0].data, (int)argv[1].len, argv[1].data);
    else
        buf_add_str(reply, "-ERR no such command\r\n");
}

static inline void world_log(void *arg, int level, struct slice text) {
    struct world *w = arg;
    buf_printf(&w->log, "%d:%.*s\n", level, (int)text.len, text.data);
}

static inline bool world_may(void *arg, int argc, const struct slice *argv, bool *known) {
    (void)arg;
    *known = argc > 0 && slice_eq(argv[0], SLICE("raw"));
    return *known && argc > 1;
}

static inline const char *world_checkpoint(void *arg, uint64_t number, bool has_written) {
    struct world *w = arg;
    (void)has_written;
    EXPECT(number == w->checkpoints + 1);
    w->checkpoints = number;
    return w->end != NULL && number >= w->end_at ? w->end : NULL;
}

static const struct script_world world_functions = {.call = world_call, .log = world_log, .may = world_may};

/* The reply to `code`, in the protocol `resp`, into *out. */
static inline void run_script(struct script_engine *e, struct world *w, const char *code, int resp,
                              struct script_run *run, struct buf *out) {
    char hex[SHA1_HEX_LEN];
    struct slice body = slice_of(code), sha = slice_make(hex, sizeof hex);
    struct slice key = SLICE("k1"), args[] = {SLICE("a1"), SLICE("a2")};
    struct script_limits limits = {.arg = w, .checkpoint = world_checkpoint};
    struct reply reply;
    buf_clear(out);
    sha1_hex(body, hex);
    if (!script_is_compiled(e, sha) && !script_compile(e, sha, body, out)) return;
    reply_init(&reply, out, resp);
    *run = (struct script_run){.name = SLICE("sha"),
                               .keys = &key,
                               .key_count = 1,
                               .args = args,
                               .arg_count = 2,
                               .world = &world_functions,
                               .arg = w,
                               .limits = &limits};
    script_eval(e, sha, run, &reply);
    EXPECT(script_running(e) == NULL);
}

static inline void expect_reply(struct script_engine *e, struct world *w, const char *code, int resp,
                                const char *expected) {
    struct script_run run;
    struct buf out = {0};
    run_script(e, w, code, resp, &run, &out);
    if (out.len != strlen(expected) || memcmp(out.data, expected, out.len) != 0) {
        fprintf(stderr, "    %s\n", code);
        test_print_bytes("got", out.data, out.len);
        test_print_bytes("expected", expected, strlen(expected));
        EXPECT(false);
    }
    buf_free(&out);
}

#endif
