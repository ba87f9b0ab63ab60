/* Places on the globe as scores: 26 bits of longitude and 26 of latitude, interleaved, so that what is
 * near is mostly near in a sorted set, too; distances between them; and which ranges of scores cover an
 * area. The same numbers as Redis's, bit for bit. */
#ifndef CMD_GEOHASH_H
#define CMD_GEOHASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GEO_STEP_MAX = 26, GEOHASH_TEXT_LEN = 11 };

struct geo_point {
    double longitude, latitude;
};

/* Within what can be encoded: all longitudes, and latitudes up to where Web Mercator ends. */
bool geo_is_valid(struct geo_point p);
uint64_t geo_encode(struct geo_point p);
/* The middle of the cell that a score means; any number is some cell. */
struct geo_point geo_decode(double score);
/* In meters. */
double geo_distance(struct geo_point a, struct geo_point b);
/* The customary text, which divides latitudes up to the poles; exactly GEOHASH_TEXT_LEN bytes. */
void geo_text(struct geo_point p, char *out);

/* A circle, or a box along the lines of latitude. */
struct geo_shape {
    struct geo_point center;
    bool is_box;
    double radius, width, height; /* in units ... */
    double unit_m;                /* ... of so many meters */
};
/* Whether it holds the point, and then *distance from its center, in meters. */
bool geo_shape_has(const struct geo_shape *s, struct geo_point p, double *distance);

/* Scores from `min` up to but not including `max`. */
struct geo_range {
    uint64_t min, max;
};
enum { GEO_RANGES_MAX = 9 };
/* Ranges that together hold all of the shape, in the order in which Redis searches them; returns how many. */
size_t geo_shape_ranges(const struct geo_shape *s, struct geo_range out[GEO_RANGES_MAX]);

#endif
