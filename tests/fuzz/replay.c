/* Runs one fuzz target over files and folders of files, once each: the corpus as a regression test, and the way
 * to look at a crash without libFuzzer. */
#include "fuzz.h"

#include "buf.h"

#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

static int files_run;

static bool replay_file(const char *path) {
    FILE *f = fopen(path, "rb");
    if (f == NULL) return false;
    struct buf bytes = {0};
    size_t n;
    do {
        buf_reserve(&bytes, 4096);
        n = fread(buf_tail(&bytes), 1, 4096, f);
        bytes.len += n;
    } while (n > 0);
    bool ok = !ferror(f);
    fclose(f);
    if (ok) {
        printf("%s\n", path);
        fflush(stdout); /* the last line names the input that crashed */
        char *exact = fuzz_exact_copy(bytes.data, bytes.len);
        LLVMFuzzerTestOneInput((const uint8_t *)exact, bytes.len);
        mem_free(exact);
        files_run++;
    }
    buf_free(&bytes);
    return ok;
}

static bool replay_path(const char *path) {
    struct stat st;
    if (stat(path, &st) != 0) return false;
    if (!S_ISDIR(st.st_mode)) return replay_file(path);
    DIR *dir = opendir(path);
    if (dir == NULL) return false;
    bool ok = true;
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        if (e->d_name[0] == '.') continue;
        char child[4096];
        snprintf(child, sizeof child, "%s/%s", path, e->d_name);
        ok = replay_path(child) && ok;
    }
    closedir(dir);
    return ok;
}

int main(int argc, char **argv) {
    bool ok = true;
    for (int i = 1; i < argc; i++) {
        if (replay_path(argv[i])) continue;
        fprintf(stderr, "cannot read %s\n", argv[i]);
        ok = false;
    }
    printf("%d inputs\n", files_run);
    return ok && files_run > 0 ? 0 : 1;
}
