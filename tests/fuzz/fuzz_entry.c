/* Log entries: any bytes are refused or read within bounds, and since everything has one spelling, what was
 * read and written again gives the same bytes. */
#include "entry.h"

#include "check.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *copy = fuzz_exact_copy(data, size);
    struct slice payload = slice_make(copy, size);
    struct entry_reader r;
    entry_reader_init(&r);
    struct buf again = {0};
    entry_begin(&again);
    if (entry_open(&r, payload)) {
        struct entry_header header = r.header;
        int more;
        while ((more = entry_next(&r)) == 1) {
            CHECK(r.argc >= 1);
            CHECK((size_t)r.argv_cap <= size + 16);
            for (int i = 0; i < r.argc; i++) fuzz_touch(r.argv[i]);
            entry_add(&again, r.db, r.argc, r.argv);
        }
        entry_finish(&again, &header);
        if (more == 0) CHECK(slice_eq(buf_slice(&again), payload));
    }
    buf_free(&again);
    entry_reader_free(&r);
    mem_free(copy);
    return 0;
}
