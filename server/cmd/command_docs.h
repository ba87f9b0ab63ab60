/* What COMMAND DOCS says about a command beyond the facts in struct command. */
#ifndef CMD_COMMAND_DOCS_H
#define CMD_COMMAND_DOCS_H

#include "cmd.h"

struct command_doc {
    const char *name; /* "client|list" */
    const char *since, *group, *complexity, *summary;
    const char *flags;            /* words, e.g. "deprecated"; may be empty */
    const char *deprecated_since; /* or NULL */
    const char *replaced_by;      /* or NULL */
    const char *arguments;        /* the notation is explained in command_docs.def */
};

/* NULL when there is none. */
const struct command_doc *command_doc_by_name(struct slice full_name);
/* Writes the value of "arguments": an array of maps. */
void command_doc_arguments(struct reply *r, const char *notation);

#endif
