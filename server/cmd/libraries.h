/* Libraries of functions as every node has them: replicated values of the server itself (storage/system.h).
 *
 *     "library:<name>"         what it is, below
 *     "function:<its name>"    in lower case: the name of the library it is in
 *
 *     | bytes  | a library                                                                                |
 *     | 1      | version, 1                                                                               |
 *     | 4 + n  | name                                                                                   |
 *     | 40     | SHA1 of the code, in hex: the engine knows it by that                                    |
 *     | 4      | functions, in the order in which the code declares them                                  |
 *     |        | each: flags (4), name (4 + n), 0 or 1: with a description (1), which is then there (4 + n) |
 *     | n      | the code, as it was given                                                                |
 *
 * Names of libraries differ in case; those of functions do not. */
#ifndef CMD_LIBRARIES_H
#define CMD_LIBRARIES_H

#include "buf.h"
#include "keyspace.h"
#include "script.h"

struct library {
    struct slice name, sha;
    struct slice code; /* with its first line, #!lua name=<name> */
    uint32_t function_count;
    struct slice functions; /* for library_next */
};

/* All slices are borrowed from the keyspace, and good until it is touched again. */
bool library_get(struct keyspace *ks, struct slice name, struct library *out);
/* The one that has the function, and the function. */
bool library_with(struct keyspace *ks, struct slice function, struct library *out,
                  struct script_function *found);
bool library_has_function(struct keyspace *ks, struct slice function);
/* Takes the next function from the front of *functions; false at the end. */
bool library_next(struct slice *functions, struct script_function *out);
typedef void library_visit_fn(void *arg, const struct library *library);
void library_each(struct keyspace *ks, library_visit_fn *visit, void *arg);
struct library_usage {
    uint64_t libraries, functions, bytes;
};
void library_usage(struct keyspace *ks, struct library_usage *out);

/* The code in such a value. */
struct slice library_code(struct slice value);

/* The code is one that has been compiled before. */
void library_compile(struct script_engine *e, const struct library *library);

/* While applying an entry. None of the names may be there already. */
void library_add(struct keyspace *ks, struct slice name, struct slice sha, struct slice code,
                 const struct script_library *declared);
bool library_remove(struct keyspace *ks, struct slice name); /* false when there was none */
void library_remove_all(struct keyspace *ks);

/* cmd_fcall.c: FCALL of a function that says it never writes; and for cmd_nothing.c, also of one that there is not. */
bool cmd_fcall_says_no_writes(struct keyspace *ks, struct slice function);
bool cmd_fcall_changes_nothing(struct keyspace *ks, int db, int argc, const struct slice *argv);

#endif
