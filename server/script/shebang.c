/* What a script says about itself: `#!lua flags=no-writes,allow-stale`. */
#include "mem.h"
#include "resp_parse.h"
#include "script.h"

static const struct {
    const char *word;
    uint32_t flag;
} flag_words[] = {
    {"no-writes", SCRIPT_NO_WRITES},
    {"allow-oom", SCRIPT_ALLOW_OOM},
    {"allow-stale", SCRIPT_ALLOW_STALE},
    {"no-cluster", SCRIPT_NO_CLUSTER},
    {"allow-cross-slot-keys", SCRIPT_ALLOW_CROSS_SLOT},
};

uint32_t script_flag_of(struct slice word) {
    for (size_t i = 0; i < sizeof flag_words / sizeof *flag_words; i++)
        if (slice_eq(word, slice_of(flag_words[i].word))) return flag_words[i].flag;
    return 0;
}

size_t script_flag_words(uint32_t flags, const char *words[SCRIPT_FLAG_COUNT]) {
    size_t count = 0;
    for (size_t i = 0; i < sizeof flag_words / sizeof *flag_words; i++)
        if (flags & flag_words[i].flag) words[count++] = flag_words[i].word;
    return count;
}

static bool says(struct buf *error, const char *what, struct slice quoted) {
    buf_printf(error, "%s%.*s", what, (int)(quoted.len < 128 ? quoted.len : 128), quoted.data);
    return false;
}

static bool read_flags(struct slice words, uint32_t *flags, struct buf *error) {
    while (words.data != NULL && words.len > 0) {
        const char *comma = memchr(words.data, ',', words.len);
        size_t len = comma != NULL ? (size_t)(comma - words.data) : words.len;
        struct slice word = slice_make(words.data, len);
        uint32_t flag = script_flag_of(word);
        if (flag == 0) return says(error, "ERR Unexpected flag in script shebang: ", word);
        *flags |= flag;
        if (comma == NULL) return true;
        words = slice_make(comma + 1, words.len - len - 1);
        if (words.len == 0) return says(error, "ERR Unexpected flag in script shebang: ", words);
    }
    return true;
}

static bool read_words(int count, const struct slice *words, uint32_t *flags, struct buf *error) {
    if (!slice_eq(words[0], SLICE("#!lua")))
        return says(error, "ERR Unexpected engine in script shebang: ", words[0]);
    for (int i = 1; i < count; i++) {
        struct slice w = words[i];
        if (!slice_begins(w, SLICE("flags="))) return says(error, "ERR Unknown lua shebang option: ", w);
        if (!read_flags(slice_make(w.data + 6, w.len - 6), flags, error)) return false;
    }
    return true;
}

bool script_read_shebang(struct slice body, uint32_t *flags, size_t *body_at, struct buf *error) {
    *flags = 0;
    *body_at = 0;
    if (!slice_begins(body, SLICE("#!"))) return true;
    const char *end = memchr(body.data, '\n', body.len);
    if (end == NULL) {
        buf_add_str(error, "ERR Invalid script shebang");
        return false;
    }
    *body_at =
        (size_t)(end - body.data); /* with the line's end, so that lines are counted as they stand there */
    *flags = SCRIPT_HAS_SHEBANG;
    struct buf store = {0};
    struct slice *words = NULL;
    int cap = 0, count = 0;
    bool ok = false;
    if (resp_split_line(slice_make(body.data, *body_at), &store, &words, &cap, &count) && count > 0)
        ok = read_words(count, words, flags, error);
    else
        buf_add_str(error, "ERR Invalid engine in script shebang");
    buf_free(&store);
    mem_free(words);
    return ok;
}
