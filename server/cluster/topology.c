/* See topology.h and README.md. */
#include "topology.h"

#include <inttypes.h>
#include <stdio.h>

#include "num.h"

enum {
    HOST_MAX = CLUSTER_HOST_CAP - 1,
    PORT_MAX = 65535,
    SUFFIX_LEN = CLUSTER_NAME_LEN - CLUSTER_PLAIN_NAME_LEN
};

/* --- names --- */

static void name_suffix(const struct cluster_state *state, char out[SUFFIX_LEN + 1]) {
    size_t len = strnlen(state->cluster_id, SUFFIX_LEN);
    memset(out, '0', SUFFIX_LEN);
    memcpy(out, state->cluster_id, len);
    out[SUFFIX_LEN] = '\0';
}

void cluster_name(const struct cluster_state *state, uint64_t id, char *out) {
    char suffix[SUFFIX_LEN + 1];
    name_suffix(state, suffix);
    snprintf(out, CLUSTER_NAME_LEN + 1, "%016" PRIx64 "%s", id, suffix);
}

static int hex_digit(char ch) {
    if (ch >= '0' && ch <= '9') return ch - '0';
    if (ch >= 'a' && ch <= 'f') return ch - 'a' + 10;
    if (ch >= 'A' && ch <= 'F') return ch - 'A' + 10;
    return -1;
}

bool cluster_parse_name(const struct cluster_state *state, struct slice text, uint64_t *id) {
    char suffix[SUFFIX_LEN + 1];
    uint64_t value = 0;
    if (text.len != CLUSTER_NAME_LEN && text.len != CLUSTER_PLAIN_NAME_LEN) return false;
    for (size_t i = 0; i < CLUSTER_PLAIN_NAME_LEN; i++) {
        int digit = hex_digit(text.data[i]);
        if (digit < 0) return false;
        value = value << 4 | (uint64_t)digit;
    }
    name_suffix(state, suffix);
    struct slice rest = slice_make(text.data + CLUSTER_PLAIN_NAME_LEN, text.len - CLUSTER_PLAIN_NAME_LEN);
    if (value == 0 || (rest.len > 0 && !slice_is(rest, suffix))) return false;
    *id = value;
    return true;
}

/* --- addresses --- */

static bool is_host_char(char ch) {
    return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z') ||
           (ch != '\0' && strchr(".-_:%", ch) != NULL);
}

/* Up to where the port's colon stands; text.len when there is none. */
static size_t last_colon(struct slice text) {
    size_t at = text.len;
    while (at > 0 && text.data[at - 1] != ':') at--;
    return at > 0 ? at - 1 : text.len;
}

static bool is_host(struct slice host) {
    if (host.len == 0 || host.len > HOST_MAX) return false;
    for (size_t i = 0; i < host.len; i++) {
        if (!is_host_char(host.data[i])) return false;
    }
    return true;
}

bool cluster_split_address(struct slice address, char *host, int *port) {
    size_t colon = last_colon(address);
    int64_t number = 0;
    if (colon == address.len) return false;
    struct slice name = slice_make(address.data, colon);
    struct slice digits = slice_make(address.data + colon + 1, address.len - colon - 1);
    if (name.len >= 2 && name.data[0] == '[' && name.data[name.len - 1] == ']')
        name = slice_make(name.data + 1, name.len - 2);
    if (!is_host(name) || !parse_i64(digits, &number) || number < 1 || number > PORT_MAX) return false;
    memcpy(host, name.data, name.len);
    host[name.len] = '\0';
    *port = (int)number;
    return true;
}

bool cluster_join_address(struct slice host, int port, char *out) {
    if (host.len >= 2 && host.data[0] == '[' && host.data[host.len - 1] == ']')
        host = slice_make(host.data + 1, host.len - 2);
    if (!is_host(host) || port < 1 || port > PORT_MAX) return false;
    bool brackets = memchr(host.data, ':', host.len) != NULL;
    char text[CLUSTER_HOST_CAP + 16];
    int len = snprintf(text, sizeof text, brackets ? "[%.*s]:%d" : "%.*s:%d", (int)host.len, host.data, port);
    if (len < 0 || (size_t)len >= CLUSTER_ADDRESS_CAP) return false;
    memcpy(out, text, (size_t)len + 1);
    return true;
}

bool cluster_normal_address(struct slice text, char *out) {
    char host[CLUSTER_HOST_CAP], address[CLUSTER_ADDRESS_CAP];
    int port;
    int64_t peer_port = 0;
    const char *at = text.len > 0 ? memchr(text.data, '@', text.len) : NULL;
    if (at != NULL) {
        size_t len = (size_t)(at - text.data);
        struct slice digits = slice_make(at + 1, text.len - len - 1);
        if (!parse_i64(digits, &peer_port) || peer_port < 1 || peer_port > PORT_MAX) return false;
        text.len = len;
    }
    if (!cluster_split_address(text, host, &port) || !cluster_join_address(slice_of(host), port, address))
        return false;
    size_t len = strlen(address);
    if (at != NULL && peer_port != port + CLUSTER_BUS_OFFSET) {
        int more = snprintf(address + len, sizeof address - len, "@%d", (int)peer_port);
        if (more < 0 || (size_t)more >= sizeof address - len) return false;
    }
    memcpy(out, address, strlen(address) + 1);
    return true;
}

/* --- who is what --- */

static bool is_failing(const struct cluster_state *state, const struct cluster_member *m, int64_t after_ms) {
    if (m->is_self || m->is_connected) return false;
    /* A leader that never heard from it in its term has nothing that speaks for it. Others may just have no link. */
    if (m->heard_ms_ago < 0) return state->is_leader;
    return m->heard_ms_ago >= after_ms;
}

static void add_node(const struct cluster_member *m, uint64_t master_id, const char *own_host, int own_port,
                     int64_t failing_after_ms, struct cluster_view *out) {
    struct cluster_node *node = &out->nodes[out->count++];
    *node = (struct cluster_node){
        .member = m, .is_master = m->id == master_id, .is_learner = m->seat == CLUSTER_LEARNER};
    cluster_name(out->state, m->id, node->name);
    node->is_failing = !node->is_master && is_failing(out->state, m, failing_after_ms);
    if (!cluster_split_address(slice_of(m->address), node->host, &node->port) && m->is_self) {
        snprintf(node->host, sizeof node->host, "%s", own_host);
        node->port = own_port;
    }
    if (m->is_self) out->self = node;
}

void cluster_view(const struct cluster_state *state, const char *own_host, int own_port,
                  int64_t failing_after_ms, struct cluster_view *out) {
    uint64_t master_id = state->leader_id != 0 ? state->leader_id : state->last_leader_id;
    CHECK(state->member_count <= CLUSTER_MEMBERS_MAX);
    *out = (struct cluster_view){.state = state};
    for (size_t i = 0; i < state->member_count; i++) {
        if (state->members[i].id != master_id) continue;
        out->has_master = true;
        add_node(&state->members[i], master_id, own_host, own_port, failing_after_ms, out);
    }
    for (size_t i = 0; i < state->member_count; i++) {
        if (state->members[i].id != master_id)
            add_node(&state->members[i], master_id, own_host, own_port, failing_after_ms, out);
    }
}

const struct cluster_node *cluster_view_find(const struct cluster_view *view, uint64_t id) {
    for (size_t i = 0; i < view->count; i++) {
        if (view->nodes[i].member->id == id) return &view->nodes[i];
    }
    return NULL;
}

bool cluster_is_replica(const struct cluster_node *node) {
    return !node->is_master && !node->is_learner && !node->is_failing;
}
