/* See libraries.h. */
#include "libraries.h"

#include "mem.h"
#include "system.h"

#include <ctype.h>

enum { VERSION = 1 };

static struct slice library_prefix(void) {
    return SLICE("library:");
}

static struct slice row_of_library(struct buf *store, struct slice name) {
    buf_clear(store);
    buf_add_slice(store, library_prefix());
    buf_add_slice(store, name);
    return buf_slice(store);
}

static struct slice row_of_function(struct buf *store, struct slice name) {
    buf_clear(store);
    buf_add_str(store, "function:");
    for (size_t i = 0; i < name.len; i++) buf_add_byte(store, (uint8_t)tolower((unsigned char)name.data[i]));
    return buf_slice(store);
}

/* --- reading --- */

static bool take_text(struct slice *s, struct slice *text) {
    uint32_t len;
    return slice_take_u32le(s, &len) && slice_take(s, len, text);
}

bool library_next(struct slice *functions, struct script_function *out) {
    uint8_t has_description;
    if (functions->len == 0) return false;
    *out = (struct script_function){0};
    CHECK(slice_take_u32le(functions, &out->flags));
    CHECK(take_text(functions, &out->name));
    CHECK(slice_take_u8(functions, &has_description));
    if (has_description) CHECK(take_text(functions, &out->description));
    return true;
}

static void parse(struct slice value, struct library *out) {
    uint8_t version;
    CHECK(slice_take_u8(&value, &version));
    CHECK(version == VERSION);
    CHECK(take_text(&value, &out->name));
    CHECK(slice_take(&value, SCRIPT_SHA_LEN, &out->sha));
    CHECK(slice_take_u32le(&value, &out->function_count));
    out->code = value;
    for (uint32_t i = 0; i < out->function_count; i++) {
        struct script_function f;
        CHECK(library_next(&out->code, &f));
    }
    out->functions = slice_make(value.data, value.len - out->code.len);
}

struct slice library_code(struct slice value) {
    struct library library;
    parse(value, &library);
    return library.code;
}

bool library_get(struct keyspace *ks, struct slice name, struct library *out) {
    struct buf row = {0};
    struct slice value;
    bool is_there = system_get(ks, row_of_library(&row, name), &value);
    buf_free(&row);
    if (is_there) parse(value, out);
    return is_there;
}

static bool is_same_function(struct slice a, struct slice b) {
    return a.len == b.len && strncasecmp(a.data, b.data, a.len) == 0;
}

bool library_with(struct keyspace *ks, struct slice function, struct library *out,
                  struct script_function *found) {
    struct buf row = {0};
    struct slice library;
    bool is_there = system_get(ks, row_of_function(&row, function), &library);
    if (is_there) {
        buf_clear(&row);
        buf_add_slice(&row, library); /* reading the library touches the keyspace */
        is_there = library_get(ks, buf_slice(&row), out);
        if (is_there) {
            struct slice functions = out->functions;
            while ((is_there = library_next(&functions, found)) && !is_same_function(found->name, function)) {
            }
        }
    }
    buf_free(&row);
    return is_there;
}

bool library_has_function(struct keyspace *ks, struct slice function) {
    struct buf row = {0};
    bool has = system_has(ks, row_of_function(&row, function));
    buf_free(&row);
    return has;
}

struct each {
    library_visit_fn *visit;
    void *arg;
};

static void each_visit(void *arg, struct slice name, struct slice value) {
    const struct each *e = arg;
    struct library library;
    (void)name;
    parse(value, &library);
    e->visit(e->arg, &library);
}

void library_each(struct keyspace *ks, library_visit_fn *visit, void *arg) {
    struct each e = {.visit = visit, .arg = arg};
    system_each(ks, library_prefix(), each_visit, &e);
}

static void count_one(void *arg, const struct library *library) {
    struct library_usage *usage = arg;
    usage->libraries++;
    usage->functions += library->function_count;
    usage->bytes += library->name.len + library->functions.len + library->code.len;
}

void library_usage(struct keyspace *ks, struct library_usage *out) {
    *out = (struct library_usage){0};
    library_each(ks, count_one, out);
}

void library_compile(struct script_engine *e, const struct library *library) {
    struct buf error = {0};
    const char *end =
        memchr(library->code.data, '\n', library->code.len); /* so that lines are counted as they stand */
    CHECK(end != NULL);
    size_t at = (size_t)(end - library->code.data);
    CHECK(script_library_compile(e, library->sha, slice_make(end, library->code.len - at), &error));
    buf_free(&error);
}

/* --- changing --- */

static void add_text(struct buf *out, struct slice text) {
    CHECK(text.len <= UINT32_MAX);
    buf_add_u32le(out, (uint32_t)text.len);
    buf_add_slice(out, text);
}

void library_add(struct keyspace *ks, struct slice name, struct slice sha, struct slice code,
                 const struct script_library *declared) {
    struct buf row = {0}, value = {0};
    CHECK(sha.len == SCRIPT_SHA_LEN);
    buf_add_byte(&value, VERSION);
    add_text(&value, name);
    buf_add_slice(&value, sha);
    buf_add_u32le(&value, (uint32_t)declared->count);
    for (size_t i = 0; i < declared->count; i++) {
        const struct script_function *f = &declared->functions[i];
        buf_add_u32le(&value, f->flags);
        add_text(&value, f->name);
        buf_add_byte(&value, f->description.data != NULL);
        if (f->description.data != NULL) add_text(&value, f->description);
        struct slice function_row = row_of_function(&row, f->name);
        CHECK(!system_has(ks, function_row));
        system_set(ks, function_row, name);
    }
    buf_add_slice(&value, code);
    struct slice library_row = row_of_library(&row, name);
    CHECK(!system_has(ks, library_row));
    system_set(ks, library_row, buf_slice(&value));
    buf_free(&row);
    buf_free(&value);
}

bool library_remove(struct keyspace *ks, struct slice name) {
    struct library library;
    struct buf row = {0}, functions = {0};
    bool is_there = library_get(ks, name, &library);
    if (is_there) {
        buf_add_slice(&functions, library.functions); /* which go with the library */
        struct slice rest = buf_slice(&functions);
        struct script_function f;
        while (library_next(&rest, &f)) CHECK(system_delete(ks, row_of_function(&row, f.name)));
        CHECK(system_delete(ks, row_of_library(&row, name)));
    }
    buf_free(&functions);
    buf_free(&row);
    return is_there;
}

static void add_name(void *arg, const struct library *library) {
    add_text(arg, library->name);
}

void library_remove_all(struct keyspace *ks) {
    struct buf names = {0};
    library_each(ks, add_name, &names);
    struct slice rest = buf_slice(&names), name;
    while (take_text(&rest, &name)) CHECK(library_remove(ks, name));
    buf_free(&names);
}
