/* See events.h. */
#include "events.h"

#include "pubsub.h"

#include <string.h>

/* In the order of enum event_class. */
static const char letters[] = "g$lshzxetdmnKE";

static uint32_t classes_of(struct slice setting) {
    uint32_t classes = 0;
    for (size_t i = 0; i < setting.len; i++) {
        const char *at = strchr(letters, setting.data[i]);
        if (setting.data[i] == 'A')
            classes |= EVENT_ALL;
        else if (at != NULL && *at != '\0')
            classes |= UINT32_C(1) << (at - letters);
    }
    return classes & (EVENT_KEYSPACE | EVENT_KEYEVENT) ? classes : 0;
}

/* --- what the keyspace does by itself --- */

static void tell_cb(void *arg, enum ks_event event, int db, struct slice key) {
    static const struct {
        enum event_class class;
        const char *name;
    } events[] = {
        [KS_EVENT_NEW] = {EVENT_NEW, "new"},
        [KS_EVENT_EXPIRED] = {EVENT_EXPIRED, "expired"},
        [KS_EVENT_MISSED] = {EVENT_MISSED, "keymiss"},
    };
    struct server *s = arg;
    if (event == KS_EVENT_EXPIRED && feed_is_on(&s->feed)) feed_expired(s, db, key);
    if (s->event_classes & events[event].class) event_publish(s, events[event].name, db, key);
}

void events_configure(struct server *s) {
    s->event_classes = classes_of(config_text(s->config.notify_keyspace_events));
    if (s->event_classes != 0 && s->config.tells_new_keys) s->event_classes |= EVENT_NEW;
    if (s->ks == NULL) return;
    bool hears = s->event_classes & (EVENT_NEW | EVENT_EXPIRED | EVENT_MISSED) || feed_is_on(&s->feed);
    ks_tell(s->ks, hears ? tell_cb : NULL, s);
}

/* --- telling --- */

void event_publish(struct server *s, const char *event, int db, struct slice key) {
    struct buf *channel = &s->event_channel;
    if (pubsub_is_idle(&s->pubsub)) return;
    if (s->event_classes & EVENT_KEYSPACE) {
        buf_clear(channel);
        buf_printf(channel, "__keyspace@%d__:", db);
        buf_add_slice(channel, key);
        pubsub_publish(s, buf_slice(channel), slice_of(event));
    }
    if (s->event_classes & EVENT_KEYEVENT) {
        buf_clear(channel);
        buf_printf(channel, "__keyevent@%d__:%s", db, event);
        pubsub_publish(s, buf_slice(channel), key);
    }
}
