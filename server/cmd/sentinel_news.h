/* What clients of Redis Sentinel listen for: +switch-master and its like. Each node tells those who listen here, from what it
 * knows of the cluster itself; so these subscriptions stay on the node that was asked, whoever leads, and outlive the leader
 * whose end they are about. Belongs to the loop thread. */
#ifndef CMD_SENTINEL_NEWS_H
#define CMD_SENTINEL_NEWS_H

#include "slice.h"
#include "topology.h"

struct command;
struct server;
struct session;

enum { SENTINEL_NAMES_MAX = 16, SENTINEL_NAME_CAP = 64 };

/* What was told last. */
struct sentinel_news {
    bool has_looked;
    char host[CLUSTER_HOST_CAP]; /* of the leader; "": none was known yet */
    int port;
    struct known_node {
        uint64_t id;
        bool is_down;
    } nodes[CLUSTER_MEMBERS_MAX]; /* the other voters */
    size_t node_count;
    /* Masters are called what clients call them: those of sentinel-master-name, and these that somebody asked for. */
    char names[SENTINEL_NAMES_MAX][SENTINEL_NAME_CAP];
    size_t name_count;
};

/* Compares the cluster with what was told, and tells what is new. */
void sentinel_news_look(struct server *s);
/* A client asks for the master of that name: it will listen for news of it. */
void sentinel_news_of(struct server *s, struct slice name);
/* Whether a SUBSCRIBE or PSUBSCRIBE is for such news alone. Names of Sentinel's events say so; of a pattern that could match
 * anything, that the session has asked SENTINEL before. */
bool sentinel_news_is_for(const struct session *session, const struct command *cmd, int argc,
                          const struct slice *argv);

#endif
