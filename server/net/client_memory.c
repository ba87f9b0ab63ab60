/* What connections take of memory, all together, and maxmemory-clients, the bound for it: the largest are closed until the rest
 * stays below. A connection is measured whenever something of it came or went, so the sum is true at the end of each turn. */
#include "net_internal.h"

#include "config.h"
#include "mem.h"
#include "server.h"

#include <stdio.h>
#include <stdlib.h>

size_t conn_memory(const struct conn *c) {
    return sizeof *c + c->in.cap + c->out.cap + c->sending.cap + c->parser.store.cap +
           (size_t)c->parser.argv_cap * sizeof(struct slice) + session_memory(&c->session);
}

static uint64_t second_of(const struct net *net) {
    return uv_now(net->loop) / 1000;
}

void conn_note_peak(struct conn *c) {
    uint64_t second = second_of(c->net);
    struct net_peak *p = &c->net->peaks[second % NET_PEAK_SECONDS];
    if (p->second != second) *p = (struct net_peak){.second = second};
    size_t output = c->out.cap + c->sending.cap;
    if (c->in.cap > p->input) p->input = c->in.cap;
    if (output > p->output) p->output = output;
}

struct net_peak net_recent_peak(const struct net *net) {
    struct net_peak peak = {.second = second_of(net)};
    for (int i = 0; i < NET_PEAK_SECONDS; i++) {
        const struct net_peak *p = &net->peaks[i];
        if (p->second + NET_PEAK_SECONDS <= peak.second) continue;
        if (p->input > peak.input) peak.input = p->input;
        if (p->output > peak.output) peak.output = p->output;
    }
    return peak;
}

void conn_measure(struct conn *c) {
    if (!c->closing) conn_note_peak(c);
    size_t bytes = c->closing ? 0 : conn_memory(c);
    c->net->client_memory += bytes - c->memory_counted;
    c->memory_counted = bytes;
}

/* In bytes; 0: there is none. A negative setting is a percentage of maxmemory. */
static uint64_t memory_limit(const struct net *net) {
    int64_t limit = net->config->maxmemory_clients;
    if (limit < 0) limit = (int64_t)((double)net->config->maxmemory * (double)-limit / 100);
    return (uint64_t)limit;
}

struct largest {
    struct conn **conns;
    size_t count, cap;
};

static void collect_cb(uv_handle_t *handle, void *arg) {
    struct largest *l = arg;
    struct conn *c = net_conn_of_handle(handle);
    if (c == NULL || c->closing || c->session.no_evict) return;
    if (l->count == l->cap)
        l->conns = mem_realloc(l->conns, (l->cap = l->cap ? l->cap * 2 : 64) * sizeof(struct conn *));
    l->conns[l->count++] = c;
}

static int compare_largest_first(const void *a, const void *b) {
    const struct conn *x = *(struct conn *const *)a, *y = *(struct conn *const *)b;
    return (x->memory_counted < y->memory_counted) - (x->memory_counted > y->memory_counted);
}

void net_evict_clients(struct net *net) {
    uint64_t limit = memory_limit(net);
    if (limit == 0 || net->client_memory <= limit) return;
    struct largest l = {0};
    uv_walk(net->loop, collect_cb, &l);
    if (l.count > 0) qsort(l.conns, l.count, sizeof(struct conn *), compare_largest_first);
    for (size_t i = 0; i < l.count && net->client_memory > limit; i++) {
        conn_close_with_reason(l.conns[i], "Evicting client: all of them take more than maxmemory-clients");
        net->evicted++;
    }
    mem_free(l.conns);
}
