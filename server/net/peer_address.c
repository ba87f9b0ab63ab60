/* Addresses of nodes as text; see peer_net.h. */
#include "num.h"
#include "peer_net.h"

int peer_port_of(int port, int cluster_port) {
    if (cluster_port != 0) return cluster_port;
    return port != 0 && port <= UINT16_MAX - PEER_PORT_OFFSET ? port + PEER_PORT_OFFSET : 0;
}

static bool take_port(struct slice text, int *out) {
    int64_t n;
    if (!parse_i64(text, &n) || n < 0 || n > UINT16_MAX) return false;
    *out = (int)n;
    return true;
}

bool peer_address_parse(const char *address, char *host, size_t host_cap, int *port, int *peer_port) {
    const char *at = strrchr(address, '@'), *end = at != NULL ? at : address + strlen(address);
    const char *colon = memrchr(address, ':', (size_t)(end - address));
    int client_port, other_port = 0;
    if (colon == NULL || !take_port(slice_make(colon + 1, (size_t)(end - colon - 1)), &client_port))
        return false;
    if (at != NULL && !take_port(slice_of(at + 1), &other_port)) return false;
    other_port = peer_port_of(client_port, other_port);
    const char *from = address;
    size_t len = (size_t)(colon - address);
    if (len >= 2 && from[0] == '[' && from[len - 1] == ']') {
        from++;
        len -= 2;
    }
    if (len == 0 || len >= host_cap || other_port == 0) return false;
    memcpy(host, from, len);
    host[len] = '\0';
    *port = client_port;
    *peer_port = other_port;
    return true;
}
