/* Lists: one pack, or a tree of packs in the order of the elements. */
#include "collection.h"

static const struct tree_kind list_kind = {.order = ORDER_POSITION, .arity = 1, .leaf_bytes = 2048};
const struct collection_class list_class = {.size = sizeof(struct collection), .kind = &list_kind};
