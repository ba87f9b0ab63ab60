/* See geohash.h. A cell is a column (longitude) and a row (latitude) of a grid of 2^step by 2^step; its
 * bits are those of the column in the odd places, those of the row in the even ones.
 *
 * Distances decide what GEORADIUS STORE stores, on every node, so they must not depend on which machine
 * works them out: the C library's sine of a double differs in its last bit between processors with and
 * without fused multiplication. That of a long double, rounded, does not in practice, and is the nearest
 * double nearly always, as the other one is. */
#include "geohash.h"

#include <math.h>

#define LATITUDE_MAX    85.05112878
#define LONGITUDE_MAX   180.0
#define EARTH_RADIUS_M  6372797.560856
#define MERCATOR_MAX_M  20037726.37
#define RADIANS(degree) ((degree) * (M_PI / 180.0))
#define DEGREES(radian) ((radian) / (M_PI / 180.0))

static inline double exact_sin(double x) {
    return (double)sinl(x);
}
static inline double exact_cos(double x) {
    return (double)cosl(x);
}
static inline double exact_asin(double x) {
    return (double)asinl(x);
}

/* --- cells --- */

struct cell {
    uint32_t column, row;
    unsigned step;
};

struct cell_bounds {
    double west, east, south, north;
};

/* The bits of v, one in two places. */
static uint64_t spread(uint32_t v) {
    static const uint64_t masks[] = {UINT64_C(0x0000ffff0000ffff), UINT64_C(0x00ff00ff00ff00ff),
                                     UINT64_C(0x0f0f0f0f0f0f0f0f), UINT64_C(0x3333333333333333),
                                     UINT64_C(0x5555555555555555)};
    uint64_t bits = v;
    for (unsigned i = 0; i < 5; i++) bits = (bits | bits << (16 >> i)) & masks[i];
    return bits;
}

static uint32_t gather(uint64_t bits) {
    static const uint64_t masks[] = {UINT64_C(0x3333333333333333), UINT64_C(0x0f0f0f0f0f0f0f0f),
                                     UINT64_C(0x00ff00ff00ff00ff), UINT64_C(0x0000ffff0000ffff),
                                     UINT64_C(0x00000000ffffffff)};
    bits &= UINT64_C(0x5555555555555555);
    for (unsigned i = 0; i < 5; i++) bits = (bits | bits >> (1 << i)) & masks[i];
    return (uint32_t)bits;
}

static uint64_t cell_bits(struct cell c) {
    return spread(c.row) | spread(c.column) << 1;
}

/* The upper edge of the grid is a cell of its own, beyond the last one. */
static uint32_t grid_line(double v, double max, unsigned step) {
    double part = (v + max) / (max + max);
    return (uint32_t)(part * (double)(UINT64_C(1) << step));
}

static struct cell cell_of(struct geo_point p, unsigned step, double latitude_max) {
    return (struct cell){.column = grid_line(p.longitude, LONGITUDE_MAX, step),
                         .row = grid_line(p.latitude, latitude_max, step),
                         .step = step};
}

static double line_at(uint32_t line, double max, unsigned step) {
    return -max + ((double)line * 1.0 / (double)(UINT64_C(1) << step)) * (max + max);
}

static struct cell_bounds bounds_of(struct cell c) {
    return (struct cell_bounds){
        .west = line_at(c.column, LONGITUDE_MAX, c.step),
        .east = line_at(c.column + 1, LONGITUDE_MAX, c.step),
        .south = line_at(c.row, LATITUDE_MAX, c.step),
        .north = line_at(c.row + 1, LATITUDE_MAX, c.step),
    };
}

static double middle(double a, double b, double max) {
    double v = (a + b) / 2;
    return v > max ? max : v < -max ? -max : v;
}

/* --- points --- */

bool geo_is_valid(struct geo_point p) {
    return p.longitude >= -LONGITUDE_MAX && p.longitude <= LONGITUDE_MAX && p.latitude >= -LATITUDE_MAX &&
           p.latitude <= LATITUDE_MAX;
}

uint64_t geo_encode(struct geo_point p) {
    return cell_bits(cell_of(p, GEO_STEP_MAX, LATITUDE_MAX));
}

/* A score that no point has still means something: what the processors Redis is at home on make of it. */
static uint64_t score_bits(double score) {
    const double two_63 = 9223372036854775808.0;
    if (score >= 2 * two_63) return 0;
    if (score >= two_63) return (uint64_t)score;
    if (score < -two_63) return UINT64_C(1) << 63;
    return (uint64_t)(int64_t)score;
}

struct geo_point geo_decode(double score) {
    uint64_t bits = score_bits(score);
    struct cell_bounds b =
        bounds_of((struct cell){.column = gather(bits >> 1), .row = gather(bits), .step = GEO_STEP_MAX});
    return (struct geo_point){.longitude = middle(b.west, b.east, LONGITUDE_MAX),
                              .latitude = middle(b.south, b.north, LATITUDE_MAX)};
}

static double latitude_distance(double a, double b) {
    return EARTH_RADIUS_M * fabs(RADIANS(b) - RADIANS(a));
}

/* Haversine. */
double geo_distance(struct geo_point a, struct geo_point b) {
    double v = exact_sin((RADIANS(b.longitude) - RADIANS(a.longitude)) / 2);
    if (v == 0) return latitude_distance(a.latitude, b.latitude);
    double from = RADIANS(a.latitude), to = RADIANS(b.latitude), u = exact_sin((to - from) / 2);
    double h = u * u + exact_cos(from) * exact_cos(to) * v * v;
    if (h > 1) h = 1; /* rounding, for opposite points: no distance is NaN */
    return 2.0 * EARTH_RADIUS_M * exact_asin(sqrt(h));
}

void geo_text(struct geo_point p, char *out) {
    static const char alphabet[] = "0123456789bcdefghjkmnpqrstuvwxyz";
    enum { BITS = 2 * GEO_STEP_MAX, CHAR_BITS = 5 };
    uint64_t bits = cell_bits(cell_of(p, GEO_STEP_MAX, 90));
    /* There are bits for ten characters; the eleventh has always been there. */
    for (int i = 0; i < GEOHASH_TEXT_LEN - 1; i++)
        out[i] = alphabet[bits >> (BITS - (i + 1) * CHAR_BITS) & 31];
    out[GEOHASH_TEXT_LEN - 1] = alphabet[0];
}

/* --- areas --- */

/* Whether the two are farther apart than this beyond all doubt: by a millimeter and more, which no processor's sine makes
 * up for. Cheap, so that most of what lies around a shape is never measured exactly. */
static bool is_surely_beyond(struct geo_point a, struct geo_point b, double reach_m) {
    double limit = reach_m * (1 + 1e-9) + 1e-3;
    if (latitude_distance(a.latitude, b.latitude) > limit) return true;
    double from = RADIANS(a.latitude), to = RADIANS(b.latitude), u = sin((to - from) / 2);
    double v = sin((RADIANS(b.longitude) - RADIANS(a.longitude)) / 2);
    return 2.0 * EARTH_RADIUS_M * asin(sqrt(u * u + cos(from) * cos(to) * v * v)) > limit;
}

bool geo_shape_has(const struct geo_shape *s, struct geo_point p, double *distance) {
    if (s->is_box) {
        double across = s->width * s->unit_m / 2;
        if (latitude_distance(p.latitude, s->center.latitude) > s->height * s->unit_m / 2) return false;
        struct geo_point beside = {.longitude = s->center.longitude, .latitude = p.latitude};
        if (is_surely_beyond(p, beside, across) || geo_distance(p, beside) > across) return false;
        *distance = geo_distance(s->center, p);
        return true;
    }
    double reach = s->radius * s->unit_m;
    if (is_surely_beyond(s->center, p, reach)) return false;
    *distance = geo_distance(s->center, p);
    return *distance <= reach;
}

/* So coarse that a cell and its neighbours hold a circle, mostly. Towards the poles cells are narrower. */
static unsigned step_for(double radius_m, double latitude) {
    if (radius_m == 0) return GEO_STEP_MAX;
    int step = -1;
    for (; radius_m < MERCATOR_MAX_M; radius_m *= 2) step++;
    if (fabs(latitude) > 66) step--;
    if (fabs(latitude) > 80) step--;
    return step < 1 ? 1 : step > GEO_STEP_MAX ? GEO_STEP_MAX : (unsigned)step;
}

static struct cell_bounds bounding_box(const struct geo_shape *s) {
    double latitude = s->center.latitude, longitude = s->center.longitude;
    double height = s->unit_m * (s->is_box ? s->height / 2 : s->radius);
    double width = s->unit_m * (s->is_box ? s->width / 2 : s->radius);
    double up = DEGREES(height / EARTH_RADIUS_M);
    /* The side farther from the equator is the wider one in degrees. */
    double far = latitude < 0 ? latitude - up : latitude + up;
    double across = DEGREES(width / EARTH_RADIUS_M / exact_cos(RADIANS(far)));
    return (struct cell_bounds){.west = longitude - across,
                                .east = longitude + across,
                                .south = latitude - up,
                                .north = latitude + up};
}

/* The grid ends nowhere: beyond its last column or row comes the first. (The cell on its upper edge is
 * left only by moving.) */
static struct cell cell_beside(struct cell c, int columns, int rows) {
    uint32_t mask = (uint32_t)((UINT64_C(1) << c.step) - 1);
    if (columns != 0) c.column = (c.column + (uint32_t)columns) & mask;
    if (rows != 0) c.row = (c.row + (uint32_t)rows) & mask;
    return c;
}

/* Whether the box reaches beyond the neighbours; what is not a number, near a pole, does not. */
static bool falls_short(struct cell c, struct cell_bounds box) {
    return bounds_of(cell_beside(c, 0, 1)).north < box.north ||
           bounds_of(cell_beside(c, 0, -1)).south > box.south ||
           bounds_of(cell_beside(c, 1, 0)).east < box.east ||
           bounds_of(cell_beside(c, -1, 0)).west > box.west;
}

size_t geo_shape_ranges(const struct geo_shape *s, struct geo_range out[GEO_RANGES_MAX]) {
    static const struct {
        int columns, rows;
    } order[GEO_RANGES_MAX] = {{0, 0}, {0, 1}, {0, -1}, {1, 0}, {-1, 0}, {1, 1}, {-1, 1}, {1, -1}, {-1, -1}};
    struct cell_bounds box = bounding_box(s);
    double half_w = s->width / 2, half_h = s->height / 2;
    double radius_m = (s->is_box ? sqrt(half_w * half_w + half_h * half_h) : s->radius) * s->unit_m;
    struct cell center = cell_of(s->center, step_for(radius_m, s->center.latitude), LATITUDE_MAX);
    if (center.step > 1 && falls_short(center, box))
        center = cell_of(s->center, center.step - 1, LATITUDE_MAX);
    struct cell_bounds own = bounds_of(center);
    bool prunes = center.step >= 2;
    size_t count = 0;
    uint64_t last = 0;
    for (int i = 0; i < GEO_RANGES_MAX; i++) {
        int columns = order[i].columns, rows = order[i].rows;
        /* What lies on a side where the cell itself reaches beyond the shape. */
        if (prunes && ((rows < 0 && own.south < box.south) || (rows > 0 && own.north > box.north) ||
                       (columns < 0 && own.west < box.west) || (columns > 0 && own.east > box.east)))
            continue;
        uint64_t bits = cell_bits(i == 0 ? center : cell_beside(center, columns, rows));
        /* In a coarse grid two neighbours are the same cell; only one that was the last but not the first
         * is noticed, as in Redis. */
        if (count > 1 && bits == last) continue;
        unsigned shift = 2 * (GEO_STEP_MAX - center.step);
        out[count++] = (struct geo_range){bits << shift, (bits + 1) << shift};
        last = bits;
    }
    return count;
}
