/* See terms.h. */
#include "terms.h"

#include "handlers.h"
#include "server.h"

/* maxmemory bounds what is cached, so no data are too much for it; but not one key fits into less than this. */
enum { MEMORY_LEAST = 1 << 10 };

static bool is_writing(uint32_t flags) {
    return (flags & (CMD_WRITE | CMD_UNSAID)) == CMD_WRITE;
}

static bool has_memory(const struct config *config) {
    return config->maxmemory == 0 || config->maxmemory >= MEMORY_LEAST;
}

/* A follower counts when it was heard of not too long ago. */
static int64_t count_replicas(struct server *s) {
    struct cluster_state state;
    int64_t count = 0, lag_ms_max = s->config.min_replicas_max_lag * 1000;
    s->host->cluster(s->host, &state);
    for (size_t i = 0; i < state.member_count; i++) {
        const struct cluster_member *m = &state.members[i];
        count += !m->is_self && m->is_connected && m->heard_ms_ago >= 0 && m->heard_ms_ago <= lag_ms_max;
    }
    return count;
}

/* As in Redis, either setting at 0 asks for nobody. They are counted once for all commands of a moment. */
static bool has_replicas(struct server *s, int64_t now_ms) {
    const struct config *config = &s->config;
    if (config->min_replicas_to_write == 0 || config->min_replicas_max_lag == 0) return true;
    if (s->replicas_counted_ms != now_ms) {
        s->replicas_counted_ms = now_ms;
        s->replica_count = count_replicas(s);
    }
    return s->replica_count >= config->min_replicas_to_write;
}

uint32_t terms_for_script(struct server *s, int64_t now_ms) {
    uint32_t bits = 0;
    if (!has_memory(&s->config)) bits |= TERMS_NO_MEMORY;
    if (!has_replicas(s, now_ms)) bits |= TERMS_NO_REPLICAS;
    if (s->debug_in_scripts) bits |= TERMS_DEBUG;
    return bits;
}

/* A transaction takes memory for every command that is queued, but has to be able to end. */
static bool is_queued(const struct session *session, const struct command *cmd) {
    static cmd_fn *const others[] = {cmd_exec,    cmd_discard, cmd_multi, cmd_watch,
                                     cmd_unwatch, cmd_quit,    cmd_reset};
    if (!session->transaction.is_open) return false;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (cmd->fn == others[i]) return false;
    return true;
}

const char *terms_refusal(struct server *s, const struct session *session, const struct command *cmd,
                          uint32_t flags, int64_t now_ms) {
    bool writes = cmd->fn == cmd_exec ? session->transaction.says_it_writes : is_writing(flags);
    if (!has_memory(&s->config) && (flags & CMD_DENYOOM || is_queued(session, cmd))) return ERR_OOM;
    return writes && !has_replicas(s, now_ms) ? ERR_NOREPLICAS : NULL;
}

const char *terms_refusal_in_script(uint32_t terms, const struct command *cmd) {
    if (terms & TERMS_NO_REPLICAS && is_writing(cmd->flags)) return ERR_NOREPLICAS;
    return terms & TERMS_NO_MEMORY && cmd->flags & CMD_DENYOOM ? ERR_OOM : NULL;
}
