/* See system.h. */
#include "system.h"

#include "collection.h"

static uint64_t generations; /* handed out so far, in this process */

void system_opened(struct keyspace *ks) {
    ks->system_generation = ++generations;
}

uint64_t system_generation(const struct keyspace *ks) {
    return ks->system_generation;
}

bool system_get(struct keyspace *ks, struct slice name, struct slice *value) {
    const struct object *o = ks_peek(ks, SYSTEM_DB, name, INT64_MIN);
    if (o == NULL) return false;
    *value = string_get(o, NULL); /* raw: no integer has to be spelled */
    return true;
}

bool system_has(struct keyspace *ks, struct slice name) {
    return ks_peek(ks, SYSTEM_DB, name, INT64_MIN) != NULL;
}

void system_set(struct keyspace *ks, struct slice name, struct slice value) {
    CHECK(ks->mid_entry);
    string_set_raw(ks, SYSTEM_DB, name, value, false);
    system_opened(ks);
}

bool system_delete(struct keyspace *ks, struct slice name) {
    CHECK(ks->mid_entry);
    struct object *o = ks_peek(ks, SYSTEM_DB, name, INT64_MIN);
    if (o == NULL) return false;
    ks_delete(ks, SYSTEM_DB, o);
    system_opened(ks);
    return true;
}

struct each {
    struct slice prefix;
    system_visit_fn *visit;
    void *arg;
};

static bool each_visit(void *arg, const struct object *o) {
    const struct each *e = arg;
    struct slice name = object_key(o);
    if (slice_begins(name, e->prefix)) e->visit(e->arg, name, string_get(o, NULL));
    return true;
}

void system_each(struct keyspace *ks, struct slice prefix, system_visit_fn *visit, void *arg) {
    struct each e = {.prefix = prefix, .visit = visit, .arg = arg};
    ks_visit_all(ks, SYSTEM_DB, each_visit, &e);
}
