/* What stands before a script in its entry: who it runs as, and on which terms. Written where it is proposed, read where it
 * is applied. */
#include "node_internal.h"
#include "terms.h"

#include "mem.h"
#include "num.h"

enum { PREFIX_ARGS_MAX = 4 };

struct entry_prefix node_prefix(const struct entry_reader *r) {
    struct entry_prefix p = {0};
    if (r->argc > 2 && slice_eq(r->argv[0], SLICE("_as"))) {
        p.is_as = true;
        p.user = r->argv[1];
        p.argc = 2;
    }
    if (r->argc > p.argc + 2 && slice_eq(r->argv[p.argc], SLICE("_terms"))) {
        int64_t bits = 0;
        (void)parse_i64(r->argv[p.argc + 1], &bits);
        p.terms = (uint32_t)bits;
        p.argc += 2;
    }
    return p;
}

void node_add_payload(struct node *n, struct conn *c, const struct command *cmd, int db, int argc,
                      const struct slice *argv) {
    struct buf *payload = &n->filling->payload;
    const struct session *s = &c->session;
    bool is_script = cmd->flags & CMD_WRITE && cmd->categories & ACL_SCRIPTING;
    bool is_as = is_script && !s->user->is_unrestricted;
    uint32_t terms = is_script && cmd->runs_scripts ? terms_for_script(&n->server, node_clock_ms(n)) : 0;
    if (!is_as && terms == 0) {
        entry_add(payload, (uint8_t)db, argc, argv);
        return;
    }
    char bits[NUM_I64_MAX_LEN];
    struct slice *whole = mem_alloc(((size_t)argc + PREFIX_ARGS_MAX) * sizeof *whole);
    int at = 0;
    if (is_as) {
        whole[at++] = SLICE("_as");
        whole[at++] = buf_slice(&s->user->name);
    }
    if (terms != 0) {
        whole[at++] = SLICE("_terms");
        whole[at++] = slice_make(bits, format_i64(bits, terms));
    }
    memcpy(whole + at, argv, (size_t)argc * sizeof *argv);
    entry_add(payload, (uint8_t)db, argc + at, whole);
    mem_free(whole);
}
