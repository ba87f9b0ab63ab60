/* Places: geohashes bit for bit, distances, searches. The expected replies are Redis 7.0.15's. */
#include "geohash.h"

#include "support.h"

#include <math.h>

static void load_sicily(void) {
    check("geoadd Sicily 13.361389 38.115556 Palermo 15.087269 37.502669 Catania", ":2");
    check("geoadd Sicily 12.758489 38.788135 edge1 17.241510 38.788135 edge2", ":2");
}

TEST(places_are_scores) {
    desk_open();
    load_sicily();
    check("zscore Sicily Palermo", "$16 3479099956230698");
    check("zscore Sicily Catania", "$16 3479447370796909");
    check("geoadd Sicily 13.361389 38.115556 Palermo", ":0");
    check("geoadd Sicily ch 13.5 38 Palermo", ":1");
    check("geoadd Sicily nx ch 13.7 38 Palermo", ":0");
    check("geoadd Sicily xx 13.7 38 nowhere", ":0");
    check("geoadd Sicily nx xx 13.7 38 a", "-ERR syntax error");
    check("geoadd Sicily 13.7 38 a 1", "-ERR syntax error");
    check("geoadd Sicily 181 38 a", "-ERR invalid longitude,latitude pair 181.000000,38.000000");
    check("geoadd Sicily 1 85.06 a", "-ERR invalid longitude,latitude pair 1.000000,85.060000");
    check("geoadd Sicily x 1 a", "-ERR value is not a valid float");
    desk_close();
}

TEST(reading_places) {
    desk_open();
    load_sicily();
    check("geopos Sicily Palermo nowhere", "*2 *2 $20 13.36138933897018433 $20 38.11555639549629859 *-1");
    check("geopos none a", "*1 *-1");
    check("geohash Sicily Palermo Catania nowhere", "*3 $11 sqc8b49rny0 $11 sqdtr74hyu0 $-1");
    check("geodist Sicily Palermo Catania", "$11 166274.1516");
    check("geodist Sicily Palermo Catania km", "$8 166.2742");
    check("geodist Sicily Palermo Catania MI", "$8 103.3182");
    check("geodist Sicily Palermo nowhere", "$-1");
    check("geodist Sicily Palermo Catania cm", "-ERR unsupported unit provided. please use M, KM, FT, MI");
    check("geodist Sicily Palermo Catania m m", "-ERR syntax error");
    desk.resp = 3;
    check("geopos Sicily Palermo nowhere", "*2 *2 ,13.36138933897018433 ,38.11555639549629859 _");
    check("geodist Sicily Palermo Catania", "$11 166274.1516");
    desk_close();
}

TEST(searching) {
    desk_open();
    load_sicily();
    check("georadius Sicily 15 37 200 km asc", "*2 $7 Catania $7 Palermo");
    check("georadius Sicily 15 37 200 km withdist desc",
          "*2 *2 $7 Palermo $8 190.4424 *2 $7 Catania $7 56.4413");
    check("georadius Sicily 15 37 200 km withhash count 1", "*1 *2 $7 Catania :3479447370796909");
    check("georadiusbymember Sicily Palermo 0 m withcoord",
          "*1 *2 $7 Palermo *2 $20 13.36138933897018433 $20 38.11555639549629859");
    check("geosearch Sicily fromlonlat 15 37 bybox 400 400 km asc withdist",
          "*4 *2 $7 Catania $7 56.4413 *2 $7 Palermo $8 190.4424 *2 $5 edge2 $8 279.7403 *2 $5 edge1 $8 "
          "279.7405");
    check("geosearch Sicily frommember Catania byradius 1 m", "*1 $7 Catania");
    check("geosearch none fromlonlat 15 37 byradius 1 m", "*0");
    check("geosearch Sicily frommember nowhere byradius 1 m", "-ERR could not decode requested zset member");
    check("geosearch Sicily byradius 1 m asc desc asc",
          "-ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for geosearch");
    check("GEOSEARCH Sicily frommember Catania asc asc asc",
          "-ERR exactly one of BYRADIUS and BYBOX can be specified for GEOSEARCH");
    check("geosearch Sicily frommember Catania byradius 1 m any",
          "-ERR the ANY argument requires COUNT argument");
    check("geosearch Sicily frommember Catania byradius 1 m count 0", "-ERR COUNT must be > 0");
    check("georadius Sicily 15 37 -1 km", "-ERR radius cannot be negative");
    check("georadius Sicily 15 37 x km", "-ERR need numeric radius");
    check("geosearch Sicily fromlonlat 15 37 bybox -1 1 km", "-ERR height or width cannot be negative");
    check("georadius_ro Sicily 15 37 200 km store to", "-ERR syntax error");
    check("georadius Sicily 15 37 200 km store to withdist",
          "-ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options");
    desk_close();
}

TEST(storing_what_is_found) {
    desk_open();
    load_sicily();
    check("geosearchstore to Sicily fromlonlat 15 37 byradius 200 km", ":2");
    check("zrange to 0 -1 withscores", "*4 $7 Palermo $16 3479099956230698 $7 Catania $16 3479447370796909");
    check("georadius Sicily 15 37 200 km storedist to count 1", ":1");
    check("zcount to 56.4412 56.4414", ":1");
    check("geosearchstore Sicily Sicily fromlonlat 15 37 byradius 1 m", ":0");
    check("exists Sicily", ":0");
    check("geosearchstore to none fromlonlat 15 37 byradius 1 m", ":0");
    check("exists to", ":0");
    desk_close();
}

/* --- the arithmetic --- */

TEST(encoding_and_decoding_agree) {
    struct rng rng = {test_seed()};
    for (int i = 0; i < 20000; i++) {
        struct geo_point p = {.longitude = (double)rng_below(&rng, 3600001) / 10000 - 180,
                              .latitude = (double)rng_below(&rng, 1701000) / 10000 - 85.05};
        uint64_t bits = geo_encode(p);
        struct geo_point q = geo_decode((double)bits);
        EXPECT(fabs(p.longitude - q.longitude) < 360.0 / (1 << 26));
        EXPECT(fabs(p.latitude - q.latitude) < 180.0 / (1 << 26));
        if (p.longitude < 179.9) EXPECT(geo_encode(q) == bits);
    }
}

TEST(any_score_is_some_place) {
    static const double scores[] = {0,         -1,   1e300,  -1e300, INFINITY,
                                    -INFINITY, 1e19, 9.3e18, 0.5,    4503599627370496.0};
    for (size_t i = 0; i < sizeof scores / sizeof *scores; i++) {
        struct geo_point p = geo_decode(scores[i]);
        EXPECT(geo_is_valid(p));
        EXPECT(geo_distance(p, (struct geo_point){0}) >= 0);
    }
}

/* Nothing within a shape lies outside its ranges, wherever and however big it is. */
TEST(ranges_hold_the_shape) {
    struct rng rng = {test_seed()};
    for (int i = 0; i < 2000; i++) {
        struct geo_shape s = {.unit_m = 1, .is_box = rng_below(&rng, 2) == 0};
        /* Away from the poles and the date line, where the ranges are Redis's and not all there is. */
        s.center = (struct geo_point){.longitude = (double)rng_below(&rng, 100) - 50,
                                      .latitude = (double)rng_below(&rng, 100) - 50};
        s.radius = s.width = s.height = pow(10, (double)rng_below(&rng, 6));
        struct geo_range ranges[GEO_RANGES_MAX];
        size_t count = geo_shape_ranges(&s, ranges);
        EXPECT(count >= 1);
        EXPECT(count <= GEO_RANGES_MAX);
        for (int k = 0; k < 50; k++) {
            double reach = s.radius / 111000;
            struct geo_point p = {
                .longitude = s.center.longitude + reach * ((double)rng_below(&rng, 2001) / 1000 - 1),
                .latitude = s.center.latitude + reach * ((double)rng_below(&rng, 2001) / 1000 - 1)};
            uint64_t bits = geo_encode(p);
            double distance;
            if (!geo_shape_has(&s, geo_decode((double)bits), &distance)) continue;
            bool held = false;
            for (size_t r = 0; r < count; r++) held |= bits >= ranges[r].min && bits < ranges[r].max;
            EXPECT(held);
        }
    }
}

TEST_MAIN
