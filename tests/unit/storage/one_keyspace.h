/* The keyspace that the tests of a type work on: in a folder of its own, opened, lost and opened again, entry by entry. */
#ifndef TESTS_UNIT_STORAGE_ONE_KEYSPACE_H
#define TESTS_UNIT_STORAGE_ONE_KEYSPACE_H

#include "keyspace.h"
#include "writeback.h"

#include "test.h"

#include "unit/storage/scratch.h"

static struct scratch folder;
static struct keyspace *ks;
static uint64_t entry; /* applied so far */

static void wake(void *arg) {
    (void)arg;
}

static void open_again(void) {
    struct scratch state = scratch_in(&folder, "state");
    struct keyspace_options options = {.block_cache_bytes = 1 << 20, .background_threads = 1, .wake = wake};
    struct kv_error error = {""};
    EXPECT_NOTE(ks_open(state.path, &options, &ks, &error) == RC_OK, "%s", error.text);
}

static void open_fresh(void) {
    if (ks != NULL) ks_close(ks); /* of a test that failed */
    if (folder.path[0] != '\0') scratch_remove(folder.path);
    folder = scratch_new();
    entry = 0;
    open_again();
}

static void close_keyspace(void) {
    ks_close(ks);
    ks = NULL;
    scratch_remove(folder.path);
    folder.path[0] = '\0';
}

static void end_entry(void) {
    EXPECT_NOTE(ks_fault(ks) == NULL, "%s", ks_fault(ks));
    ks_set_applied(ks, (struct ks_applied){.index = ++entry, .term = 1, .clock_ms = 1});
}

#endif
