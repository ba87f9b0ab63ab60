/* See rdb_export.h. The thread owns the iterator, and a keyspace of its own that is in no table: objects made from rows belong
 * to it, one at a time. What it shares with whoever takes the pieces is under the mutex. */
#include "rdb_export.h"

#include "collection.h"
#include "rdb_codec.h"
#include "rdb_object.h"

#include <pthread.h>
#include <stdio.h>

enum opcode {
    OP_FUNCTION = 245,
    OP_AUX = 250,
    OP_SIZES = 251,
    OP_DEADLINE_MS = 252,
    OP_DATABASE = 254,
    OP_END = 255,
};

/* So many are ahead, unless some are larger than usual; then fewer. The last piece of a file may be small. */
enum { PIECES_MAX = RDB_EXPORT_AHEAD_BYTES / RDB_PIECE_BYTES + 1 };

struct rdb_export {
    struct rdb_export_options options;
    struct meta meta; /* its members are not kept */
    struct keyspace *ks;
    struct db db; /* the one whose rows are being read */
    struct buf row_key;

    struct rdb_out out;
    uint64_t crc, written;
    bool is_measuring;

    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t taken;
    /* Under the mutex. */
    struct buf pieces[PIECES_MAX]; /* piece_count of them, from first_piece on, around the end */
    size_t first_piece, piece_count, ahead_bytes;
    bool is_given_up, is_over, is_measured;
    uint64_t length;
    enum rc rc; /* of the whole, once it is over */
    struct kv_error error;
};

/* --- the thread's side --- */

static bool is_given_up(struct rdb_export *e) {
    pthread_mutex_lock(&e->mutex);
    bool given_up = e->is_given_up;
    pthread_mutex_unlock(&e->mutex);
    return given_up;
}

static void hand_over(struct rdb_export *e, struct buf *piece) {
    pthread_mutex_lock(&e->mutex);
    while (e->ahead_bytes >= RDB_EXPORT_AHEAD_BYTES && !e->is_given_up)
        pthread_cond_wait(&e->taken, &e->mutex);
    if (!e->is_given_up) {
        CHECK(e->piece_count < PIECES_MAX);
        e->pieces[(e->first_piece + e->piece_count++) % PIECES_MAX] = *piece;
        e->ahead_bytes += piece->len;
        *piece = (struct buf){0};
    }
    pthread_mutex_unlock(&e->mutex);
    buf_clear(piece);
    e->options.wake(e->options.wake_arg);
}

static void spill(struct rdb_out *out) {
    struct rdb_export *e = container_of(out, struct rdb_export, out);
    e->written += out->bytes.len;
    if (e->is_measuring) {
        buf_clear(&out->bytes);
        return;
    }
    e->crc = crc64(e->crc, buf_slice(&out->bytes));
    hand_over(e, &out->bytes);
}

static void add_aux(struct buf *out, const char *name, const char *text) {
    buf_add_byte(out, OP_AUX);
    rdb_add_text(out, slice_of(name));
    rdb_add_text(out, slice_of(text));
}

static void add_aux_number(struct buf *out, const char *name, uint64_t number) {
    char text[32];
    snprintf(text, sizeof text, "%llu", (unsigned long long)number);
    add_aux(out, name, text);
}

static void add_head(struct rdb_export *e) {
    struct buf *out = &e->out.bytes;
    buf_printf(out, "REDIS%04d", RDB_VERSION);
    add_aux(out, "redis-ver", e->options.version);
    add_aux_number(out, "redis-bits", 64);
    add_aux_number(out, "ctime", (uint64_t)e->options.now_s);
    add_aux_number(out, "used-mem", e->options.used_memory_bytes);
    add_aux_number(out, "aof-base", 0);
}

static enum rc malformed(struct rdb_export *e) {
    if (e->ks->faulty)
        e->error = e->ks->fault;
    else
        snprintf(e->error.text, sizeof e->error.text, "a row of the state database is malformed");
    return RC_CORRUPT;
}

/* The object of the row that the iterator is at; free_object's to free. The iterator may be elsewhere afterwards. */
static struct object *object_here(struct rdb_export *e) {
    struct kv_iter *it = e->ks->reader;
    uint32_t db_id;
    uint64_t place;
    struct slice key;
    if (!row_parse_key(buf_slice(&e->row_key), &db_id, &place, &key)) return NULL;
    return row_object(e->ks, &e->db, place, key, kv_iter_value(it), ROW_WHOLE);
}

static void free_object(struct rdb_export *e, struct object *o) {
    expiry_detach(e->ks, &e->db, o);
    object_free(e->ks, o);
}

static void add_key(struct rdb_export *e, const struct object *o) {
    int64_t deadline_ms = object_deadline(o);
    if (deadline_ms >= 0) {
        buf_add_byte(&e->out.bytes, OP_DEADLINE_MS);
        buf_add_u64le(&e->out.bytes, (uint64_t)deadline_ms);
    }
    rdb_write(&e->out, &e->ks->limits, o);
}

static void add_library(struct rdb_export *e, const struct object *o) {
    if (!slice_begins(object_key(o), SLICE("library:"))) return;
    buf_add_byte(&e->out.bytes, OP_FUNCTION);
    rdb_add_text(&e->out.bytes, e->options.library_code(string_get(o, NULL)));
}

/* Every row of a database, each made an object. A big collection has rows elsewhere, so the iterator comes back. */
static enum rc each_key(struct rdb_export *e, int db,
                        void (*add)(struct rdb_export *, const struct object *)) {
    struct kv_iter *it = e->ks->reader;
    struct buf prefix = {0};
    enum rc rc = RC_OK;
    e->db.id = e->meta.dbs[db].id;
    row_db_prefix(&prefix, ROW_KEY, e->db.id);
    kv_iter_seek(it, buf_slice(&prefix));
    while (rc == RC_OK && kv_iter_valid(it)) {
        struct slice key = kv_iter_key(it);
        if (!slice_begins(key, buf_slice(&prefix))) break;
        buf_clear(&e->row_key);
        buf_add_slice(&e->row_key, key);
        struct object *o = object_here(e);
        if (o == NULL) {
            rc = malformed(e);
            break;
        }
        add(e, o);
        bool has_moved = object_is_big(o);
        free_object(e, o);
        rdb_spill(&e->out);
        if (is_given_up(e)) rc = RC_STOPPED;
        if (has_moved) kv_iter_seek(it, buf_slice(&e->row_key));
        if (kv_iter_valid(it)) kv_iter_next(it);
    }
    if (rc == RC_OK && !kv_iter_valid(it)) rc = kv_iter_error(it, &e->error);
    buf_free(&prefix);
    return rc;
}

static enum rc add_database(struct rdb_export *e, int db) {
    if (e->meta.dbs[db].keys == 0) return RC_OK;
    buf_add_byte(&e->out.bytes, OP_DATABASE);
    rdb_add_len(&e->out.bytes, (uint64_t)db);
    buf_add_byte(&e->out.bytes, OP_SIZES);
    rdb_add_len(&e->out.bytes, e->meta.dbs[db].keys);
    rdb_add_len(&e->out.bytes, e->meta.dbs[db].expires);
    return each_key(e, db, add_key);
}

static enum rc write_file(struct rdb_export *e) {
    enum rc rc = RC_OK;
    e->crc = e->written = 0;
    add_head(e);
    if (e->options.functions) rc = each_key(e, SYSTEM_DB, add_library);
    for (int db = 0; e->options.data && rc == RC_OK && db < KS_DB_COUNT; db++) rc = add_database(e, db);
    if (rc != RC_OK) return rc;
    buf_add_byte(&e->out.bytes, OP_END);
    buf_add_u64le(&e->out.bytes, crc64(e->crc, buf_slice(&e->out.bytes)));
    spill(&e->out);
    return RC_OK;
}

static void measure(struct rdb_export *e) {
    e->is_measuring = true;
    e->rc = write_file(e);
    e->is_measuring = false;
    pthread_mutex_lock(&e->mutex);
    e->length = e->written;
    e->is_measured = e->rc == RC_OK;
    pthread_mutex_unlock(&e->mutex);
    e->options.wake(e->options.wake_arg);
}

static void *export_thread(void *arg) {
    struct rdb_export *e = arg;
    if (e->options.is_measured) measure(e);
    enum rc rc = e->rc;
    if (rc == RC_OK) rc = write_file(e);
    if (rc == RC_OK && e->is_measured && e->written != e->length) {
        snprintf(e->error.text, sizeof e->error.text, "two readings of the same state differ");
        rc = RC_CORRUPT;
    }
    pthread_mutex_lock(&e->mutex);
    e->rc = rc;
    e->is_over = true;
    pthread_mutex_unlock(&e->mutex);
    e->options.wake(e->options.wake_arg);
    return NULL;
}

/* --- the other side --- */

/* The thread's own: nothing of it is stored, and of the real one it has the rows alone. */
static struct keyspace *keyspace_for_reading(const struct keyspace *of, const struct meta *meta,
                                             struct kv_iter *reader) {
    struct keyspace *ks = mem_calloc(1, sizeof *ks);
    ks->kv = of->kv;
    ks->reader = reader;
    ks->limits = meta->limits;
    ks->place_seed = meta->place_seed;
    ks->applied = meta->applied;
    ks->epoch = 1;
    collection_host_init(ks);
    return ks;
}

static enum rc read_meta(struct kv_iter *it, struct meta *meta, struct kv_error *error) {
    static const char key[] = {ROW_META};
    kv_iter_seek(it, slice_make(key, sizeof key));
    if (!kv_iter_valid(it)) {
        enum rc rc = kv_iter_error(it, error);
        return rc == RC_OK ? RC_NOT_FOUND : rc;
    }
    if (!slice_eq(kv_iter_key(it), slice_make(key, sizeof key))) return RC_NOT_FOUND;
    return meta_decode(kv_iter_value(it), meta, error);
}

enum rc rdb_export_start(struct keyspace *ks, const struct rdb_export_options *options,
                         struct rdb_export **out, struct kv_error *error) {
    struct kv_iter *it = kv_iter_new(ks->kv, (struct slice){0}, false);
    struct meta meta = {0};
    enum rc rc = read_meta(it, &meta, error);
    if (rc != RC_OK) {
        kv_iter_free(it);
        return rc;
    }
    struct rdb_export *e = mem_calloc(1, sizeof *e);
    e->options = *options;
    e->meta = meta;
    e->meta.members = (struct slice){0};
    e->ks = keyspace_for_reading(ks, &meta, it);
    e->out = (struct rdb_out){.has_keys = true, .spill = spill};
    pthread_mutex_init(&e->mutex, NULL);
    pthread_cond_init(&e->taken, NULL);
    CHECK(pthread_create(&e->thread, NULL, export_thread, e) == 0);
    *out = e;
    return RC_OK;
}

uint64_t rdb_export_index(const struct rdb_export *e) {
    return e->meta.applied.index;
}

enum rc rdb_export_length(struct rdb_export *e, uint64_t *bytes, struct kv_error *error) {
    CHECK(e->options.is_measured);
    pthread_mutex_lock(&e->mutex);
    enum rc rc = e->is_measured ? RC_OK : e->is_over ? e->rc : RC_BUSY;
    if (rc == RC_OK) *bytes = e->length;
    if (rc != RC_OK && rc != RC_BUSY) *error = e->error;
    pthread_mutex_unlock(&e->mutex);
    return rc;
}

enum rc rdb_export_take(struct rdb_export *e, struct buf *out, struct kv_error *error) {
    struct buf piece = {0};
    pthread_mutex_lock(&e->mutex);
    enum rc rc = RC_OK;
    if (e->is_over && e->rc != RC_OK) {
        rc = e->rc;
        *error = e->error;
    } else if (e->piece_count == 0) {
        rc = e->is_over ? RC_NOT_FOUND : RC_BUSY;
    } else {
        piece = e->pieces[e->first_piece];
        e->pieces[e->first_piece] = (struct buf){0};
        e->first_piece = (e->first_piece + 1) % PIECES_MAX;
        e->piece_count--;
        e->ahead_bytes -= piece.len;
        pthread_cond_signal(&e->taken);
    }
    pthread_mutex_unlock(&e->mutex);
    buf_add_slice(out, buf_slice(&piece));
    buf_free(&piece);
    return rc;
}

void rdb_export_give_up(struct rdb_export *e) {
    pthread_mutex_lock(&e->mutex);
    e->is_given_up = true;
    pthread_cond_signal(&e->taken);
    pthread_mutex_unlock(&e->mutex);
}

bool rdb_export_is_over(struct rdb_export *e) {
    pthread_mutex_lock(&e->mutex);
    bool is_over = e->is_over;
    pthread_mutex_unlock(&e->mutex);
    return is_over;
}

void rdb_export_free(struct rdb_export *e) {
    rdb_export_give_up(e);
    pthread_join(e->thread, NULL);
    for (size_t i = 0; i < PIECES_MAX; i++) buf_free(&e->pieces[i]);
    buf_free(&e->out.bytes);
    buf_free(&e->row_key);
    kv_iter_free(e->ks->reader);
    buf_free(&e->ks->row_key);
    buf_free(&e->ks->row_value);
    mem_free(e->ks);
    pthread_mutex_destroy(&e->mutex);
    pthread_cond_destroy(&e->taken);
    mem_free(e);
}
