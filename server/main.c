/* The program: reads the configuration, then runs one node until it is told to stop. */
#include "node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool read_whole(void *arg, const char *path, struct buf *content, char *why) {
    (void)arg;
    FILE *f = strcmp(path, "-") == 0 ? stdin : fopen(path, "r");
    if (f == NULL) {
        snprintf(why, CONFIG_ERROR_CAP, "%s", strerror(errno));
        return false;
    }
    size_t got;
    do {
        buf_reserve(content, 4096);
        got = fread(buf_tail(content), 1, 4096, f);
        content->len += got;
    } while (got > 0);
    bool sound = !ferror(f);
    if (!sound) snprintf(why, CONFIG_ERROR_CAP, "%s", strerror(errno));
    if (f != stdin) fclose(f);
    return sound;
}

static int usage(void) {
    puts("Usage: redraft-server [CONFIG-FILE | -] [--name value ...]\n"
         "       redraft-server --version\n\n"
         "Names are those of redis.conf, for example --port 6379 --bind 127.0.0.1 --dir /var/lib/redraft\n"
         "--maxmemory 1gb --requirepass secret; README.md lists what is particular to Redraft.");
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 2 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-v") == 0)) {
        puts("redraft-server " REDRAFT_VERSION);
        return 0;
    }
    if (argc == 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) return usage();
    struct config config;
    const char *file = NULL;
    char error[1024], executable[4096] = "", config_path[4096] = "";
    config_init(&config);
    if (!config_load(&config, argc, argv, read_whole, NULL, &file, error, sizeof error)) {
        fprintf(stderr, "%s\n", error);
        config_free(&config);
        return 1;
    }
    if (readlink("/proc/self/exe", executable, sizeof executable - 1) < 0) executable[0] = '\0';
    if (file != NULL && strcmp(file, "-") != 0 && realpath(file, config_path) == NULL) config_path[0] = '\0';
    int code = node_run(&config, executable, config_path);
    if (code == 0) return 0;
    /* Databases were left open, and RocksDB's threads, one of which may just be trying to recover, must not meet the
     * destructors that exit() runs under them. */
    fflush(NULL);
    _exit(code == NODE_LEFT_OPEN ? 0 : code);
}
