/* Runs the scripts: each command of a file is played, and what happens must be what stands below it, line for line.
 *
 *     test_scripts FILE...             compares
 *     test_scripts --rewrite FILE...   writes what happens into the files; read the difference before believing it */
#include "script.h"

#include "mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char *file_read(const char *path) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        exit(2);
    }
    struct buf b = {0};
    char part[4096];
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;) buf_add(&b, part, n);
    fclose(f);
    buf_add_byte(&b, '\0');
    return b.data;
}

/* The output below its command, indented; it is what a command is not. */
static void add_output(struct buf *out, struct cluster *c) {
    const char *p = c->text.data, *end = p + c->text.len;
    while (p < end) {
        size_t len = strcspn(p, "\n");
        buf_add_str(out, "    ");
        buf_add(out, p, len);
        buf_add_byte(out, '\n');
        p += len + 1;
    }
    buf_clear(&c->text);
}

static void play_file(const char *path, const char *text, struct buf *out) {
    struct cluster *c = NULL;
    int number = 0;
    if (text[0] != '#') {
        fprintf(stderr, "%s does not open with a sentence that says what it shows\n", path);
        exit(2);
    }
    for (const char *p = text; *p != '\0';) {
        size_t len = strcspn(p, "\n");
        const char *line = p;
        p += len + (p[len] != '\0');
        number++;
        if (len >= 4 && memcmp(line, "    ", 4) == 0) continue;
        buf_add(out, line, len);
        buf_add_byte(out, '\n');
        if (len == 0 || line[0] == '#') continue;
        char *command = mem_calloc(1, len + 1);
        memcpy(command, line, len);
        script_run(&c, command);
        mem_free(command);
        if (c->text.len > 0) {
            buf_add_byte(&c->text, '\0');
            c->text.len--;
            add_output(out, c);
        }
    }
    buf_add_byte(out, '\0');
    if (c != NULL) cluster_free(c);
}

/* The first line that differs. */
static void say_difference(const char *path, const char *want, const char *got) {
    int number = 1;
    while (*want != '\0' && *got != '\0') {
        size_t a = strcspn(want, "\n"), b = strcspn(got, "\n");
        if (a != b || memcmp(want, got, a) != 0) break;
        want += a + (want[a] != '\0');
        got += b + (got[b] != '\0');
        number++;
    }
    printf("%s:%d differs\n  want: %.*s\n  got:  %.*s\n", path, number, (int)strcspn(want, "\n"), want,
           (int)strcspn(got, "\n"), got);
}

int main(int argc, char **argv) {
    bool rewrite = argc > 1 && strcmp(argv[1], "--rewrite") == 0;
    int played = 0, failed = 0;
    for (int i = rewrite ? 2 : 1; i < argc; i++) {
        char *want = file_read(argv[i]);
        struct buf got = {0};
        play_file(argv[i], want, &got);
        played++;
        if (strcmp(want, got.data) != 0 && rewrite) {
            FILE *f = fopen(argv[i], "wb");
            if (f == NULL || fwrite(got.data, 1, got.len - 1, f) != got.len - 1 || fclose(f) != 0) {
                perror(argv[i]);
                return 2;
            }
            printf("rewritten: %s\n", argv[i]);
        } else if (strcmp(want, got.data) != 0) {
            say_difference(argv[i], want, got.data);
            failed++;
        }
        buf_free(&got);
        mem_free(want);
    }
    printf("%d scripts, %d failed\n", played, failed);
    return failed != 0 || played == 0;
}
