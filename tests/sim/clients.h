/* Clients of the simulated cluster: sessions that speak RESP to whichever node takes them, pipeline, give up, go on
 * elsewhere, and write down what they saw for the linearizability checker. What each writes is unique. */
#ifndef SIM_CLIENTS_H
#define SIM_CLIENTS_H

#include "buf.h"

#include <stdbool.h>
#include <stdint.h>

struct history;

struct clients_options {
    int count, first_host; /* each has a place of its own in the network: first_host, ... */
    int keys;              /* few: they are meant to collide */
    uint64_t key_life_us;  /* then others take their place */
    uint64_t think_us;     /* mean pause between two batches */
    uint64_t rush_think_us, rush_every_us,
        rush_us;          /* the same for so long, every so often; rush_us 0: never */
    int pipeline_max;     /* commands of a batch */
    uint64_t patience_us; /* then an unanswered batch is given up, its outcome unknown */
    double moves;         /* chance to go elsewhere after a batch */
    double fillers;       /* chance of a command that is in no history, but keeps collections big */
    int members;          /* so many they have at most, about */
    double transactions;  /* chance that a batch stands between MULTI and EXEC */
    double watches;       /* chance that one begins with WATCH */
    double scripts;       /* chance that an operation is done by EVAL */
};

void clients_begin(const struct clients_options *options, struct history *history);
void clients_end(void);
void clients_pause(void); /* no new batches */
void clients_resume(void);
bool clients_are_quiet(void); /* nothing is unanswered */
/* Each session has had an answer, not an error, to something it began after `since`. */
bool clients_served_since(uint64_t since, char *who, size_t cap);

struct clients_stats {
    uint64_t started, answered, refused, unknown, watched, connects, closed_by_server;
    char last_refusal[120];
};
struct clients_stats clients_stats(void);

/* One question of the simulator's own: sent to a node, its reply handed back as text; NULL when there was none in time.
 * For an operator's commands, and to look whether a node answers. */
struct question;
struct question *ask(int from_host, int to_host, uint64_t patience_us, int argc, const struct slice *argv,
                     void (*answered)(void *arg, const char *reply), void *arg);
void question_free(struct question *q); /* no answer is wanted any more */

#endif
