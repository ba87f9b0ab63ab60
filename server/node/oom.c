/* oom-score-adj: how ready the kernel is to end this process when memory runs out. The first value is for who leads, the second
 * for the others; the third is for processes that save, of which there are none. */
#include "node_internal.h"

#include <stdio.h>

enum { OOM_NO, OOM_YES, OOM_RELATIVE, OOM_ABSOLUTE }; /* words_oom_score_adj of cmd/config.c */

static const char *const score_path = "/proc/self/oom_score_adj";

static bool read_score(int *score) {
    FILE *f = fopen(score_path, "r");
    if (f == NULL) return false;
    bool ok = fscanf(f, "%d", score) == 1;
    fclose(f);
    return ok;
}

static bool write_score(int score) {
    FILE *f = fopen(score_path, "w");
    if (f == NULL) return false;
    bool ok = fprintf(f, "%d\n", score) > 0;
    return fclose(f) == 0 && ok;
}

static int within(int score) {
    enum { LEAST = -1000, MOST = 1000 };
    return score < LEAST ? LEAST : score > MOST ? MOST : score;
}

bool node_adjust_oom_score(struct node *n) {
    const struct config *config = &n->server.config;
    int values[2] = {0, 0};
    if (config->oom_score_adj == OOM_NO) {
        if (!n->oom_is_adjusted) return true;
        n->oom_is_adjusted = false;
        return write_score(n->oom_base);
    }
    if (sscanf(config->oom_score_adj_values, "%d %d", &values[0], &values[1]) != 2) return false;
    if (!n->oom_is_adjusted && !read_score(&n->oom_base)) return false;
    int base = config->oom_score_adj == OOM_ABSOLUTE ? 0 : n->oom_base;
    if (!write_score(within(base + values[n->server.leadership != LEADERSHIP_HERE]))) return false;
    n->oom_is_adjusted = true;
    return true;
}
