/* Bytes of strangers that a script unpacks: cmsgpack and struct give values or an error, touch nothing outside of what they were given,
 * and what cmsgpack has read it can pack and read again. The first byte says how long the format for struct is, which comes
 * next; the rest is data for both. */
#include "script.h"

#include "buf.h"
#include "check.h"
#include "fuzz.h"
#include "sha.h"

static const char code[] = "local format, data = ARGV[1], ARGV[2] "
                           "local function count(...) return select('#', ...) end "
                           "pcall(struct.size, format) "
                           "pcall(function() return count(struct.unpack(format, data)) end) "
                           "pcall(function() return struct.pack(format, 1, 'a', 2.5, data, -3, data) end) "
                           "pcall(function() return count(cmsgpack.unpack_limit(data, 3, #format)) end) "
                           "local ok, value = pcall(cmsgpack.unpack_one, data) "
                           "local packed, bytes = pcall(cmsgpack.pack, value) "
                           "if packed then cmsgpack.unpack(bytes) end "
                           "return 1";

static const char *checkpoint(void *arg, uint64_t number, bool has_written) {
    (void)arg;
    (void)has_written;
    return number > 2 ? "ERR too long" : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct script_engine *engine;
    static char hex[SHA1_HEX_LEN];
    struct slice sha = slice_make(hex, sizeof hex);
    if (size == 0 || data[0] > size - 1) return 0;
    if (engine == NULL) {
        struct buf error = {0};
        engine = script_engine_new();
        sha1_hex(slice_of(code), hex);
        CHECK(script_compile(engine, sha, slice_of(code), &error));
    }
    char *copy = fuzz_exact_copy(data + 1, size - 1);
    struct slice args[2] = {slice_make(copy, data[0]), slice_make(copy + data[0], size - 1 - data[0])};
    const struct script_limits limits = {.checkpoint = checkpoint};
    struct script_run run = {.name = sha, .args = args, .arg_count = 2, .limits = &limits};
    struct buf out = {0};
    struct reply reply;
    reply_init(&reply, &out, 2);
    script_eval(engine, sha, &run, &reply);
    CHECK(out.len > 0);
    CHECK(out.data[0] == ':' || run.end != NULL);
    buf_free(&out);
    mem_free(copy);
    return 0;
}
