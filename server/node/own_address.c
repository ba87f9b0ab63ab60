/* What others call this node by: what it was told to announce, the address it listens on, or the one that its packets come
 * from. */
#include "cluster_internal.h"

#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What it was told to announce, else the first address it listens on. */
static void own_host(const struct config *c, char *out, size_t cap) {
    if (c->cluster_announce_ip[0] != '\0')
        snprintf(out, cap, "%s", c->cluster_announce_ip);
    else
        snprintf(out, cap, "%.*s", (int)strcspn(c->bind, " "), c->bind);
}

/* Every address of this machine, or one that means something else on every machine. */
static bool is_vague(const char *host) {
    return host[0] == '\0' || host[0] == '-' || host[0] == ':' || strcmp(host, "*") == 0 ||
           strcmp(host, "0.0.0.0") == 0 || strncmp(host, "127.", 4) == 0 || strcmp(host, "localhost") == 0;
}

/* The host that this machine's packets to `peer` come from. Nothing is sent. */
static bool find_host_towards(const char *peer, char *out, size_t cap) {
    char host[RAFT_ADDRESS_CAP];
    int port, peer_port;
    struct addrinfo hints = {.ai_socktype = SOCK_DGRAM}, *found = NULL;
    if (!peer_address_parse(peer, host, sizeof host, &port, &peer_port)) return false;
    if (getaddrinfo(host, "9", &hints, &found) != 0) return false;
    struct sockaddr_storage own;
    socklen_t len = sizeof own;
    int fd = socket(found->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) == 0 &&
              getsockname(fd, (struct sockaddr *)&own, &len) == 0 &&
              getnameinfo((struct sockaddr *)&own, len, out, (socklen_t)cap, NULL, 0, NI_NUMERICHOST) == 0;
    if (fd >= 0) close(fd);
    freeaddrinfo(found);
    return ok;
}

static void compose_address(const struct config *c, const char *host, char *out) {
    long long port = c->cluster_announce_port ? c->cluster_announce_port : c->port;
    long long bus = c->cluster_announce_bus_port ? c->cluster_announce_bus_port : c->cluster_port;
    bool is_v6 = strchr(host, ':') != NULL;
    int len = snprintf(out, RAFT_ADDRESS_CAP, is_v6 ? "[%.150s]:%lld" : "%.150s:%lld", host, port);
    if (bus != 0 && bus != port + PEER_PORT_OFFSET)
        snprintf(out + len, RAFT_ADDRESS_CAP - (size_t)len, "@%lld", bus);
}

/* For somebody at `peer`; NULL: for whoever asks. */
void cluster_own_address(const struct node *n, const char *peer, char *out) {
    const struct config *c = &n->server.config;
    char host[RAFT_ADDRESS_CAP];
    own_host(c, host, sizeof host);
    bool is_told = c->cluster_announce_ip[0] != '\0';
    if (!is_told && is_vague(host) && (peer == NULL || !find_host_towards(peer, host, sizeof host)) &&
        strncmp(host, "127.", 4) != 0)
        snprintf(host, sizeof host, "127.0.0.1");
    compose_address(c, host, out);
}
