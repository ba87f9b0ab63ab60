/* Places in sorted sets: a member's score is its geohash (geohash.h). GEOADD, reading, and searches in
 * circles and boxes. */
#include "cmd_zset.h"
#include "geohash.h"
#include "handlers.h"
#include "mem.h"

#include <math.h>
#include <stdlib.h>

/* --- arguments --- */

/* Longitude and latitude; false after answering. */
static bool arg_point(struct cmd_ctx *c, const struct slice *args, struct geo_point *out) {
    struct geo_point p;
    if (!cmd_arg_double(c, args[0], &p.longitude, NULL)) return false;
    if (!cmd_arg_double(c, args[1], &p.latitude, NULL)) return false;
    if (!geo_is_valid(p)) {
        reply_errorf(c->reply, "ERR invalid longitude,latitude pair %f,%f", p.longitude, p.latitude);
        return false;
    }
    *out = p;
    return true;
}

/* How many meters the unit has; false after answering. */
static bool arg_unit(struct cmd_ctx *c, struct slice arg, double *meters) {
    static const struct {
        const char *name;
        double meters;
    } units[] = {{"m", 1}, {"km", 1000}, {"ft", 0.3048}, {"mi", 1609.34}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        if (!slice_is(arg, units[i].name)) continue;
        *meters = units[i].meters;
        return true;
    }
    reply_error(c->reply, "ERR unsupported unit provided. please use M, KM, FT, MI");
    return false;
}

/* "radius unit"; false after answering. */
static bool arg_radius(struct cmd_ctx *c, const struct slice *args, struct geo_shape *shape) {
    shape->is_box = false;
    if (!cmd_arg_double(c, args[0], &shape->radius, "ERR need numeric radius")) return false;
    if (shape->radius < 0) {
        reply_error(c->reply, "ERR radius cannot be negative");
        return false;
    }
    return arg_unit(c, args[1], &shape->unit_m);
}

/* "width height unit"; false after answering. */
static bool arg_box(struct cmd_ctx *c, const struct slice *args, struct geo_shape *shape) {
    shape->is_box = true;
    if (!cmd_arg_double(c, args[0], &shape->width, "ERR need numeric width")) return false;
    if (!cmd_arg_double(c, args[1], &shape->height, "ERR need numeric height")) return false;
    if (shape->width < 0 || shape->height < 0) {
        reply_error(c->reply, "ERR height or width cannot be negative");
        return false;
    }
    return arg_unit(c, args[2], &shape->unit_m);
}

static bool point_of_member(const struct object *o, struct slice member, struct geo_point *out) {
    struct zset_pos p = o != NULL ? zset_find(o, member) : (struct zset_pos){0};
    if (zset_pos_is_end(p)) return false;
    *out = geo_decode(zset_score(p));
    return true;
}

/* --- answers --- */

/* Redis writes a coordinate as it writes INCRBYFLOAT's result, in either protocol. */
static void reply_coordinate(struct reply *r, double v) {
    char digits[NUM_LD_MAX_LEN];
    struct slice text = slice_make(digits, format_long_double(digits, v));
    if (r->resp < 3) {
        reply_bulk(r, text);
        return;
    }
    reply_raw(r, SLICE(","));
    reply_raw(r, text);
    reply_raw(r, SLICE("\r\n"));
}

static void reply_point(struct reply *r, struct geo_point p) {
    reply_array(r, 2);
    reply_coordinate(r, p.longitude);
    reply_coordinate(r, p.latitude);
}

static void reply_distance(struct reply *r, double distance) {
    reply_bulkf(r, "%.4f", distance);
}

/* --- GEOADD --- */

void cmd_geoadd(struct cmd_ctx *c) {
    struct zset_add_options how = {0};
    int first = 2;
    for (; first < c->argc; first++) {
        if (slice_is(c->argv[first], "nx"))
            how.nx = true;
        else if (slice_is(c->argv[first], "xx"))
            how.xx = true;
        else if (slice_is(c->argv[first], "ch"))
            how.changed = true;
        else
            break;
    }
    int count = (c->argc - first) / 3;
    if ((c->argc - first) % 3 != 0 || count == 0 || (how.nx && how.xx)) {
        reply_error(c->reply, ERR_SYNTAX);
        return;
    }
    struct zset_item *items = arena_alloc(c->arena, (size_t)count * sizeof *items);
    for (int i = 0; i < count; i++) {
        const struct slice *args = &c->argv[first + 3 * i];
        struct geo_point p;
        if (!arg_point(c, args, &p)) return;
        items[i] = (struct zset_item){.member = args[2], .score = (double)geo_encode(p)};
    }
    struct zset_add_counts counts;
    if (!cmd_zset_add(c, c->argv[1], &how, items, (size_t)count, &counts)) return;
    reply_int(c->reply, counts.added + (how.changed ? counts.updated : 0));
}

/* --- by member --- */

void cmd_geopos(struct cmd_ctx *c) {
    struct object *o;
    struct geo_point p;
    if (!cmd_zset_read(c, c->argv[1], &o)) return;
    reply_array(c->reply, (size_t)c->argc - 2);
    for (int i = 2; i < c->argc; i++) {
        if (point_of_member(o, c->argv[i], &p))
            reply_point(c->reply, p);
        else
            reply_null_array(c->reply);
    }
}

void cmd_geohash(struct cmd_ctx *c) {
    struct object *o;
    struct geo_point p;
    char text[GEOHASH_TEXT_LEN];
    if (!cmd_zset_read(c, c->argv[1], &o)) return;
    reply_array(c->reply, (size_t)c->argc - 2);
    for (int i = 2; i < c->argc; i++) {
        if (!point_of_member(o, c->argv[i], &p)) {
            reply_null(c->reply);
            continue;
        }
        geo_text(p, text);
        reply_bulk(c->reply, slice_make(text, sizeof text));
    }
}

void cmd_geodist(struct cmd_ctx *c) {
    double unit_m = 1;
    struct object *o;
    struct geo_point a, b;
    if (c->argc > 5) {
        reply_error(c->reply, ERR_SYNTAX);
        return;
    }
    if (c->argc == 5 && !arg_unit(c, c->argv[4], &unit_m)) return;
    if (!cmd_zset_read(c, c->argv[1], &o)) return;
    if (point_of_member(o, c->argv[2], &a) && point_of_member(o, c->argv[3], &b))
        reply_distance(c->reply, geo_distance(a, b) / unit_m);
    else
        reply_null(c->reply);
}

/* --- searches --- */

enum search_kind { SEARCH_POINT, SEARCH_MEMBER, SEARCH_FREE };

struct search {
    enum search_kind kind;
    bool may_store; /* GEORADIUS and GEORADIUSBYMEMBER */
    const struct object *source;
    struct geo_shape shape;
    struct slice store;
    bool stores, stores_distance;
    bool with_distance, with_hash, with_point;
    bool from_member, from_point, by_radius, by_box; /* SEARCH_FREE */
    bool any, sorted, descending;
    int64_t count; /* 0: all */
};

struct found {
    struct slice member;
    struct geo_point point;
    double distance, score;
    size_t order;
};

struct found_list {
    struct found *items;
    size_t count, cap;
};

/* The fixed arguments of GEORADIUS and GEORADIUSBYMEMBER; false after answering. */
static bool parse_fixed(struct cmd_ctx *c, struct search *s) {
    if (s->kind == SEARCH_POINT)
        return arg_point(c, &c->argv[2], &s->shape.center) && arg_radius(c, &c->argv[4], &s->shape);
    if (s->source == NULL) return true; /* only the options matter */
    if (!point_of_member(s->source, c->argv[2], &s->shape.center)) {
        reply_error(c->reply, "ERR could not decode requested zset member");
        return false;
    }
    return arg_radius(c, &c->argv[3], &s->shape);
}

enum parsed { NOT_MINE, TAKEN, REFUSED };

static enum parsed taken(bool well) {
    return well ? TAKEN : REFUSED;
}

static enum parsed parse_from_member(struct cmd_ctx *c, struct slice member, struct search *s) {
    s->from_member = true;
    if (s->source == NULL || point_of_member(s->source, member, &s->shape.center)) return TAKEN;
    reply_error(c->reply, "ERR could not decode requested zset member");
    return REFUSED;
}

/* GEOSEARCH's words for what GEORADIUS has in fixed places. *used: how many arguments. */
static enum parsed parse_area(struct cmd_ctx *c, int i, struct search *s, int *used) {
    struct slice word = c->argv[i];
    int behind = c->argc - i - 1;
    if (s->kind != SEARCH_FREE) return NOT_MINE;
    if (behind >= 1 && !s->from_point && slice_is(word, "frommember")) {
        *used = 2;
        return parse_from_member(c, c->argv[i + 1], s);
    }
    if (behind >= 2 && !s->from_member && slice_is(word, "fromlonlat")) {
        *used = 3;
        s->from_point = true;
        return taken(arg_point(c, &c->argv[i + 1], &s->shape.center));
    }
    if (behind >= 2 && !s->by_box && slice_is(word, "byradius")) {
        *used = 3;
        s->by_radius = true;
        return taken(arg_radius(c, &c->argv[i + 1], &s->shape));
    }
    if (behind >= 3 && !s->by_radius && slice_is(word, "bybox")) {
        *used = 4;
        s->by_box = true;
        return taken(arg_box(c, &c->argv[i + 1], &s->shape));
    }
    return NOT_MINE;
}

static enum parsed parse_count(struct cmd_ctx *c, struct slice arg, struct search *s) {
    if (!cmd_arg_i64(c, arg, &s->count, NULL)) return REFUSED;
    if (s->count > 0) return TAKEN;
    reply_error(c->reply, "ERR COUNT must be > 0");
    return REFUSED;
}

static enum parsed parse_what(struct cmd_ctx *c, int i, struct search *s, int *used) {
    struct slice word = c->argv[i];
    bool has_next = i + 1 < c->argc;
    *used = 1;
    if (slice_is(word, "withdist")) {
        s->with_distance = true;
    } else if (slice_is(word, "withhash")) {
        s->with_hash = true;
    } else if (slice_is(word, "withcoord")) {
        s->with_point = true;
    } else if (slice_is(word, "any")) {
        s->any = true;
    } else if (slice_is(word, "asc") || slice_is(word, "desc")) {
        s->sorted = true;
        s->descending = slice_is(word, "desc");
    } else if (has_next && slice_is(word, "count")) {
        *used = 2;
        return parse_count(c, c->argv[i + 1], s);
    } else if (s->may_store && has_next && (slice_is(word, "store") || slice_is(word, "storedist"))) {
        *used = 2;
        s->stores = true;
        s->stores_distance = slice_is(word, "storedist");
        s->store = c->argv[i + 1];
    } else if (s->kind == SEARCH_FREE && s->stores && slice_is(word, "storedist")) {
        s->stores_distance = true;
    } else {
        return NOT_MINE;
    }
    return TAKEN;
}

/* False after answering. */
static bool parse_search_options(struct cmd_ctx *c, int first, struct search *s) {
    for (int i = first, used; i < c->argc; i += used) {
        enum parsed parsed = parse_what(c, i, s, &used);
        if (parsed == NOT_MINE) parsed = parse_area(c, i, s, &used);
        if (parsed == TAKEN) continue;
        if (parsed == NOT_MINE) reply_error(c->reply, ERR_SYNTAX);
        return false;
    }
    int name_len = cmd_quoted(c->argv[0]);
    const char *name = c->argv[0].data;
    if (s->stores && (s->with_distance || s->with_hash || s->with_point)) {
        reply_errorf(c->reply, "ERR %s is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
                     s->kind == SEARCH_FREE ? "GEOSEARCHSTORE" : "STORE option in GEORADIUS");
    } else if (s->kind == SEARCH_FREE && !s->from_member && !s->from_point) {
        reply_errorf(c->reply, "ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for %.*s",
                     name_len, name);
    } else if (s->kind == SEARCH_FREE && !s->by_radius && !s->by_box) {
        reply_errorf(c->reply, "ERR exactly one of BYRADIUS and BYBOX can be specified for %.*s", name_len,
                     name);
    } else if (s->any && s->count == 0) {
        reply_error(c->reply, "ERR the ANY argument requires COUNT argument");
    } else {
        return true;
    }
    return false;
}

static void found_add(struct cmd_ctx *c, struct found_list *list, struct found f) {
    if (list->count == list->cap) {
        list->cap = list->cap > 0 ? 2 * list->cap : 16;
        list->items = mem_realloc(list->items, list->cap * sizeof *list->items);
    }
    f.member = arena_copy(c->arena, f.member);
    f.order = list->count;
    list->items[list->count++] = f;
}

/* Everything in the shape; with ANY, until there is enough. */
static void search_area(struct cmd_ctx *c, const struct search *s, struct found_list *list) {
    struct geo_range ranges[GEO_RANGES_MAX];
    size_t count = geo_shape_ranges(&s->shape, ranges), limit = s->any ? (size_t)s->count : SIZE_MAX;
    char scratch[NUM_I64_MAX_LEN];
    for (size_t i = 0; i < count && list->count < limit; i++) {
        double max = (double)ranges[i].max;
        struct zset_pos p = zset_at(s->source, zset_count_below(s->source, (double)ranges[i].min, false));
        for (; !zset_pos_is_end(p) && list->count < limit; p = zset_next(p)) {
            struct found f = {.score = zset_score(p)};
            if (f.score >= max) break;
            f.point = geo_decode(f.score);
            if (!geo_shape_has(&s->shape, f.point, &f.distance)) continue;
            f.member = zset_member(p, scratch);
            found_add(c, list, f);
        }
    }
}

static int compare_found(const void *a, const void *b) {
    const struct found *x = a, *y = b;
    if (x->distance != y->distance) return x->distance < y->distance ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

static int compare_found_descending(const void *a, const void *b) {
    const struct found *x = a, *y = b;
    if (x->distance != y->distance) return x->distance > y->distance ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

static void reply_found(struct reply *r, const struct search *s, const struct found *f) {
    size_t extras = (size_t)s->with_distance + s->with_hash + s->with_point;
    if (extras > 0) reply_array(r, extras + 1);
    reply_bulk(r, f->member);
    if (s->with_distance) reply_distance(r, f->distance / s->shape.unit_m);
    if (s->with_hash) reply_int(r, (int64_t)f->score);
    if (s->with_point) reply_point(r, f->point);
}

static void answer_search(struct cmd_ctx *c, const struct search *s, struct found_list *list) {
    if (s->sorted && list->count > 0)
        qsort(list->items, list->count, sizeof *list->items,
              s->descending ? compare_found_descending : compare_found);
    size_t count = list->count;
    if (s->count > 0 && (uint64_t)s->count < count) count = (size_t)s->count;
    if (!s->stores) {
        reply_array(c->reply, count);
        for (size_t i = 0; i < count; i++) reply_found(c->reply, s, &list->items[i]);
        return;
    }
    struct zset_items items = {0};
    for (size_t i = 0; i < count; i++) {
        const struct found *f = &list->items[i];
        zset_items_add(c, &items, f->member, s->stores_distance ? f->distance / s->shape.unit_m : f->score);
    }
    cmd_zset_store(c, s->store, &items, s->kind == SEARCH_FREE ? "geosearchstore" : "georadiusstore");
    zset_items_free(&items);
}

/* The set is at argv[key], options begin at argv[first]. */
static void search_generic(struct cmd_ctx *c, struct search *s, int key, int first) {
    struct object *o;
    bool writes = c->cmd->flags & CMD_WRITE;
    if (!(writes ? cmd_zset_consult(c, c->argv[key], &o) : cmd_zset_read(c, c->argv[key], &o))) return;
    s->source = o;
    if (s->kind != SEARCH_FREE && !parse_fixed(c, s)) return;
    if (!parse_search_options(c, first, s)) return;
    /* The nearest are meant. */
    if (s->count > 0 && !s->any) s->sorted = true;
    struct found_list list = {0};
    if (o != NULL) search_area(c, s, &list);
    answer_search(c, s, &list);
    mem_free(list.items);
}

void cmd_georadius(struct cmd_ctx *c) {
    search_generic(c, &(struct search){.kind = SEARCH_POINT, .may_store = true}, 1, 6);
}
void cmd_georadius_ro(struct cmd_ctx *c) {
    search_generic(c, &(struct search){.kind = SEARCH_POINT}, 1, 6);
}
void cmd_georadiusbymember(struct cmd_ctx *c) {
    search_generic(c, &(struct search){.kind = SEARCH_MEMBER, .may_store = true}, 1, 5);
}
void cmd_georadiusbymember_ro(struct cmd_ctx *c) {
    search_generic(c, &(struct search){.kind = SEARCH_MEMBER}, 1, 5);
}
void cmd_geosearch(struct cmd_ctx *c) {
    search_generic(c, &(struct search){.kind = SEARCH_FREE}, 1, 2);
}
void cmd_geosearchstore(struct cmd_ctx *c) {
    search_generic(c, &(struct search){.kind = SEARCH_FREE, .stores = true, .store = c->argv[1]}, 2, 3);
}
