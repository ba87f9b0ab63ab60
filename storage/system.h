/* What the server itself has to remember and every node has to know alike: scripts, function libraries, users. Named values,
 * replicated, persisted and snapshot as keys are, but no command sees them: they live in a database of their own behind
 * those that clients may select, which no flush, scan or count of theirs reaches. DEBUG DIGEST counts them.
 *
 * Names begin with the kind and a colon: "script:", "library:", "user:". Both name and value are bytes; values of up to
 * STRING_LEN_MAX. Whoever keeps something made from them (compiled code, a table of users) makes it anew when
 * system_generation is another: values change while entries are applied, and all at once when a snapshot is installed. */
#ifndef STORAGE_SYSTEM_H
#define STORAGE_SYSTEM_H

#include "keyspace.h"

/* False when there is none. *value is good until the keyspace is touched again. */
bool system_get(struct keyspace *ks, struct slice name, struct slice *value);
bool system_has(struct keyspace *ks, struct slice name);
/* While applying an entry. */
void system_set(struct keyspace *ks, struct slice name, struct slice value);
bool system_delete(struct keyspace *ks, struct slice name); /* false when there was none */
/* Everything whose name begins so, in an order that is the same on every node; the slices are good during the call, which
 * changes nothing. */
typedef void system_visit_fn(void *arg, struct slice name, struct slice value);
void system_each(struct keyspace *ks, struct slice prefix, system_visit_fn *visit, void *arg);
/* Never the same for two states that this process has seen, of whichever keyspace. */
uint64_t system_generation(const struct keyspace *ks);

#endif
