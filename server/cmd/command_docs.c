/* See command_docs.h. */
#include "command_docs.h"

const struct command_doc *command_doc_by_name(struct slice full_name) {
    (void)full_name;
    return NULL;
}
void command_doc_arguments(struct reply *r, const char *notation) {
    (void)notation;
    reply_array(r, 0);
}
