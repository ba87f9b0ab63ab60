/* The checker as a program: linear HISTORY... ("-": standard input). Exit code 0 when every history is linearizable, 1 when
 * one is not, 2 when one cannot be read or decided. */
#include "history.h"

#include "check.h"

#include <errno.h>
#include <stdio.h>

static bool read_file(const char *path, struct buf *content) {
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    if (f == NULL) return false;
    size_t got;
    do {
        buf_reserve(content, 1 << 16);
        got = fread(buf_tail(content), 1, 1 << 16, f);
        content->len += got;
    } while (got > 0);
    bool sound = !ferror(f);
    if (f != stdin) fclose(f);
    return sound;
}

static void print_counts(const char *path, const struct history *h) {
    size_t counts[3] = {0};
    for (size_t i = 0; i < history_count(h); i++) counts[history_op(h, i)->outcome]++;
    printf("%s: VALID: %zu operations answered, %zu refused, %zu unknown\n", path, counts[OP_ANSWERED],
           counts[OP_REFUSED], counts[OP_UNKNOWN]);
}

static int check_file(const char *path) {
    struct buf content = {0}, why = {0};
    struct history *h = history_new();
    size_t line;
    int code = 2;
    if (!read_file(path, &content)) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
    } else if (history_read(h, buf_slice(&content), &line) != RC_OK) {
        fprintf(stderr, "%s:%zu: not a line of a history\n", path, line);
    } else {
        enum history_verdict verdict = history_check(h, &why);
        code = verdict == HISTORY_LINEARIZABLE ? 0 : verdict == HISTORY_NOT_LINEARIZABLE ? 1 : 2;
        if (code == 0) {
            print_counts(path, h);
        } else {
            printf("%s: %.*s", path, (int)why.len, why.data);
        }
    }
    history_free(h);
    buf_free(&content);
    buf_free(&why);
    return code;
}

int main(int argc, char **argv) {
    int worst = argc < 2 ? 2 : 0;
    if (argc < 2) fprintf(stderr, "usage: %s HISTORY...\n", argv[0]);
    for (int i = 1; i < argc; i++) {
        int code = check_file(argv[i]);
        if (code != 0 && (worst == 0 || code == 1)) worst = code;
    }
    return worst;
}
