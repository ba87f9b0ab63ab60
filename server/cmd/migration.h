/* MIGRATE, once its keys were looked up: what the other server is to be told, and which values that is. What has arrived there is
 * deleted here by an entry of the log,
 *
 *     _MIGRATED error key digest key digest ...
 *
 * which deletes each key whose value and deadline are still those that were sent (`digest`: 8 bytes of object_value_digest, or none
 * for what has been written to since), and
 * answers with the error, with one that says that keys have changed meanwhile and were kept, or OK. */
#ifndef CMD_MIGRATION_H
#define CMD_MIGRATION_H

#include "buf.h"
#include "slice.h"

enum { MIGRATION_HOST_CAP = 256 };

struct migrated_key {
    uint32_t key_len;
    uint64_t digest;
};

/* Its memory is migration_free's. */
struct migration {
    char host[MIGRATION_HOST_CAP];
    int port;
    int64_t patience_ms; /* nothing may stand still for longer */
    int db;              /* here */
    bool copies;         /* nothing is deleted */
    struct buf request;  /* what is sent; answered by a line each: */
    size_t line_count;   /* AUTH, if it is there, SELECT, and one for each key */
    size_t key_count;
    struct migrated_key *keys; /* as they are in the request; their names one behind the other in: */
    struct buf names;
};

void migration_free(struct migration *m);

#endif
