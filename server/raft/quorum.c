/* Majority arithmetic, without state: see raft.h. */
#include "raft.h"

uint64_t quorum_index(const uint64_t *match, size_t count) {
    CHECK(count <= RAFT_VOTERS_MAX);
    if (count == 0) return UINT64_MAX;
    uint64_t sorted[RAFT_VOTERS_MAX];
    for (size_t i = 0; i < count; i++) { /* insertion sort, highest first: there are at most seven */
        size_t at = i;
        for (; at > 0 && sorted[at - 1] < match[i]; at--) sorted[at] = sorted[at - 1];
        sorted[at] = match[i];
    }
    return sorted[quorum_size(count) - 1];
}
