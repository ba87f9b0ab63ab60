/* Users: rules into users and back, what they may do, and how users are kept. The texts are Redis 7.0.15's. */
#include "acl_users.h"

#include "server_support.h"

#include "system.h"

/* --- rules --- */

static const char *described(const struct acl_user *u) {
    static struct buf text;
    buf_clear(&text);
    acl_describe(u, &text);
    buf_add_byte(&text, '\0');
    return text.data;
}

/* What a new user is after these rules, or the first error. */
static const char *made_of(const char *rules) {
    static struct buf store;
    struct slice *argv = NULL;
    struct acl_rules merged;
    struct acl_user u;
    int cap = 0, argc = 0, unmatched = 0;
    const char *error = NULL;
    buf_clear(&store);
    EXPECT(resp_split_line(slice_of(rules), &store, &argv, &cap, &argc));
    acl_user_init(&u, SLICE("u"));
    if (acl_rules_merge(&merged, argc, argv, &unmatched)) {
        for (int i = 0; i < merged.count && error == NULL; i++)
            error = acl_apply(&u, buf_slice(&merged.items[i]));
        acl_rules_free(&merged);
    } else {
        error = "unmatched";
    }
    const char *text = error != NULL ? error : described(&u);
    acl_user_free(&u);
    free(argv);
    return text;
}

#define check_rules(rules, want) EXPECT_EQ_STR(made_of(rules), want)

TEST(rules_are_shown_in_a_normal_form) {
    check_rules("", "off resetchannels -@all");
    check_rules("on nopass ~* &* +@all", "on nopass ~* &* +@all");
    check_rules("allkeys allchannels allcommands", "off ~* &* +@all");
    check_rules("+@all -@dangerous +config|get", "off resetchannels +@all -@dangerous +config|get");
    check_rules("~a ~b %R~c %W~d %RW~e ~a %R~d &x &y &x", "off ~a ~b %R~c ~d ~e resetchannels &x &y -@all");
    check_rules("%RW~* ~a", "off %RW~* ~a resetchannels -@all"); /* "~* ~a" could not be read again */
    check_rules("%R", "off %R~ resetchannels -@all");            /* the empty pattern */
    check_rules("+get +get -get", "off resetchannels -@all");
    check_rules("+select|0 +select|1 +SELECT|0", "off resetchannels -@all +select|0 +select|1");
    check_rules("+select|0 +select", "off resetchannels -@all +select");
    check_rules("+config", "off resetchannels -@all +config");
    check_rules("+config -config|set", "off resetchannels -@all +config -config|set");
    check_rules("reset on", "on sanitize-payload resetchannels -@all");
    check_rules("(+get ~a) (+set %W~b &c)",
                "off resetchannels -@all (~a resetchannels -@all +get) (%W~b resetchannels &c -@all +set)");
    check_rules("(+get ~a clearselectors)", "Syntax error");
    check_rules("(+get) clearselectors", "off resetchannels -@all");
    check_rules("\"(+get\" \"~a)\"", "off resetchannels -@all (~a resetchannels -@all +get)");
    check_rules(">x",
                "off #2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881 resetchannels -@all");
    check_rules(">x >x <x", "off resetchannels -@all");
    check_rules("nopass >x resetpass", "off resetchannels -@all");
    check_rules("(~a)b %R~c))", "off resetchannels -@all (~a)b %R~c) resetchannels -@all)");
}

TEST(rules_that_make_no_sense) {
    check_rules("foo", "Syntax error");
    check_rules("+nosuch", "Unknown command or category name in ACL");
    check_rules("+", "Unknown command or category name in ACL");
    check_rules("-get|x", "Unknown command or category name in ACL");
    check_rules("+config|nosuch", "Unknown command or category name in ACL");
    check_rules("+@nosuch", "Unknown command or category name in ACL");
    check_rules("+config|get|x", "Allowing first-arg of a subcommand is not supported");
    check_rules("+get|", "Syntax error");
    check_rules("+_expire", "Unknown command or category name in ACL");
    check_rules("%~x", "Syntax error");
    check_rules("%", "Syntax error");
    check_rules("%RR~x", "Syntax error");
    check_rules("%Rx", "Syntax error");
    check_rules("\"~a b\"", "Syntax error");
    check_rules("\"&a b\"", "Syntax error");
    check_rules("\"+select|a b\"", "Syntax error");
    check_rules("#123",
                "The password hash must be exactly 64 characters and contain only lowercase hexadecimal "
                "characters");
    check_rules("<x", "The password you are trying to remove from the user does not exist");
    check_rules("~* ~a",
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not "
                "have any effect. Try 'resetkeys' to start with an empty list of patterns");
    check_rules("&* &a",
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does "
                "not have any effect. Try 'resetchannels' to start with an empty list of channels");
    check_rules("(+get", "unmatched");
    check_rules(")", "Syntax error");
    check_rules("(+get (x)", "Syntax error");
}

/* --- random rules: what is shown makes the same user --- */

static struct rng dice;

static void add_random_rule(struct buf *out, bool in_selector) {
    static const char *const words[] = {"on",
                                        "off",
                                        "nopass",
                                        "resetpass",
                                        "allkeys",
                                        "resetkeys",
                                        "allchannels",
                                        "resetchannels",
                                        "allcommands",
                                        "nocommands",
                                        "reset",
                                        "clearselectors",
                                        ">secret",
                                        ">other",
                                        "sanitize-payload",
                                        "skip-sanitize-payload"};
    char name[COMMAND_NAME_CAP];
    const struct command *cmd = command_by_id((int)rng_below(&dice, (uint64_t)command_stat_count()));
    const char *sign = rng_below(&dice, 3) > 0 ? "+" : "-";
    command_full_name(cmd, name, sizeof name);
    switch (rng_below(&dice, in_selector ? 4 : 6)) {
    case 0:
        buf_printf(out, "%s@%s", sign, acl_category_name((int)rng_below(&dice, ACL_CATEGORY_COUNT)));
        break;
    case 1: {
        static const char *const some[] = {"~a*", "%R~b", "%W~c)", "%RW~(d", "&e*", "&(f)",
                                           "~g'", "&h",   "%R~*",  "%W~*",   "%R"};
        buf_add_str(out, some[rng_below(&dice, sizeof some / sizeof *some)]);
        break;
    }
    case 2:
        buf_printf(out, "+%s|%c)", cmd->parent != NULL ? cmd->parent->name : cmd->name,
                   (int)('a' + rng_below(&dice, 3)));
        break;
    case 3: buf_printf(out, "%s%s", sign, name); break;
    case 4: buf_add_str(out, words[rng_below(&dice, sizeof words / sizeof *words)]); break;
    default:
        buf_add_byte(out, '(');
        for (uint64_t n = rng_below(&dice, 4); n > 0; n--) {
            add_random_rule(out, true);
            if (n > 1) buf_add_byte(out, ' ');
        }
        buf_add_byte(out, ')');
    }
}

TEST(what_is_shown_makes_the_same_user) {
    dice.state = test_seed();
    for (int round = test_rounds(2000); round > 0; round--) {
        struct acl_user u, again;
        struct buf rule = {0}, text = {0};
        acl_user_init(&u, SLICE("u"));
        acl_user_init(&again, SLICE("u"));
        for (uint64_t n = rng_below(&dice, 12); n > 0; n--) {
            struct acl_user before;
            acl_user_init(&before, SLICE("u"));
            acl_user_copy(&before, &u);
            buf_clear(&rule);
            add_random_rule(&rule, false);
            if (acl_apply(&u, buf_slice(&rule)) != NULL)
                acl_user_copy(&u, &before); /* as SETUSER: nothing happened */
            acl_user_free(&before);
        }
        acl_describe(&u, &text);
        const char *error = acl_apply_text(&again, buf_slice(&text));
        EXPECT_NOTE(error == NULL && strcmp(described(&again), (buf_add_byte(&text, '\0'), text.data)) == 0,
                    "%s: %s", text.data, error != NULL ? error : described(&again));
        for (size_t i = 0; i < u.selector_count; i++) {
            for (int id = 0; id < command_stat_count(); id++) {
                const struct command *cmd = command_by_id(id);
                if (cmd->flags & CMD_INTERNAL) continue;
                EXPECT_EQ_INT(acl_allows_command(&u.selectors[i], cmd),
                              acl_allows_command(&again.selectors[i], cmd));
            }
        }
        EXPECT_EQ_INT(u.is_unrestricted, again.is_unrestricted);
        acl_user_free(&u);
        acl_user_free(&again);
        buf_free(&rule);
        buf_free(&text);
    }
}

/* --- questions --- */

static enum acl_answer asked(const struct acl_user *u, const char *line, int *at) {
    struct buf store = {0};
    struct slice *argv = NULL;
    int cap = 0, argc = 0;
    EXPECT(resp_split_line(slice_of(line), &store, &argv, &cap, &argc));
    const struct command *cmd = command_lookup(argc, argv);
    EXPECT_NOTE(cmd != NULL, "%s", line);
    enum acl_answer answer = acl_check(u, cmd, argc, argv, at);
    free(argv);
    buf_free(&store);
    return answer;
}

#define check_answer(rules, line, want, want_at)                                                             \
    do {                                                                                                     \
        struct acl_user u;                                                                                   \
        int at;                                                                                              \
        acl_user_init(&u, SLICE("u"));                                                                       \
        EXPECT_EQ_STR(acl_apply_text(&u, slice_of(rules)) ? "wrong" : "", "");                               \
        EXPECT_NOTE(asked(&u, line, &at) == (want), "%s: %s", rules, line);                                  \
        EXPECT_EQ_INT(at, want_at);                                                                          \
        acl_user_free(&u);                                                                                   \
    } while (0)

TEST(what_a_user_may_do) {
    check_answer("-@all +get ~a*", "get abc", ACL_ALLOWED, 0);
    check_answer("-@all +get ~a*", "get b", ACL_DENIED_KEY, 1);
    check_answer("-@all +get ~a*", "set abc x", ACL_DENIED_COMMAND, 0);
    check_answer("+@all ~a*", "mget a1 a2 b", ACL_DENIED_KEY, 3);
    check_answer("+@all %R~a", "get a", ACL_ALLOWED, 0);
    check_answer("+@all %R~a", "set a x", ACL_DENIED_KEY, 1);
    check_answer("+@all %W~a", "set a x", ACL_ALLOWED, 0);
    check_answer("+@all %W~a", "set a x get", ACL_DENIED_KEY, 1);
    check_answer("+@all %W~a", "get a", ACL_DENIED_KEY, 1);
    check_answer("+@all %R~a %W~b", "copy a b", ACL_ALLOWED, 0);
    check_answer("+@all %R~a %W~b", "copy b a", ACL_DENIED_KEY, 1);
    check_answer("+@all %R~a", "bitfield a get u4 0", ACL_ALLOWED, 0);
    check_answer("+@all %R~a", "bitfield a set u4 0 1", ACL_DENIED_KEY, 1);
    check_answer("+@all", "exists", ACL_ALLOWED, 0); /* the command itself says that this makes no sense */
    check_answer("-@all +select|0", "select 0", ACL_ALLOWED, 0);
    check_answer("-@all +select|0", "select 1", ACL_DENIED_COMMAND, 0);
    check_answer("-@all +config|get", "config get x", ACL_ALLOWED, 0);
    check_answer("-@all +config|get", "config set x y", ACL_DENIED_COMMAND, 0);
    check_answer("-@all", "auth x", ACL_ALLOWED, 0);
    check_answer("-@all", "ping", ACL_DENIED_COMMAND, 0);
    check_answer("+@all &a*", "publish abc x", ACL_ALLOWED, 0);
    check_answer("+@all &a*", "publish b x", ACL_DENIED_CHANNEL, 1);
    check_answer("+@all &a*", "subscribe a1 b", ACL_DENIED_CHANNEL, 2);
    check_answer("+@all &a*", "psubscribe a*", ACL_ALLOWED, 0);
    check_answer("+@all &a*", "psubscribe a", ACL_DENIED_CHANNEL, 1); /* patterns are compared, not matched */
    check_answer("+@all &a*", "unsubscribe b", ACL_ALLOWED, 0);
    /* Selectors: one has to allow all of it; the denial that came furthest is told. */
    check_answer("-@all +get ~a (-@all +set ~b)", "get a", ACL_ALLOWED, 0);
    check_answer("-@all +get ~a (-@all +set ~b)", "set b x", ACL_ALLOWED, 0);
    check_answer("-@all +get ~a (-@all +set ~b)", "get b", ACL_DENIED_KEY, 1);
    check_answer("-@all +mget ~a (-@all +mget ~b)", "mget a b", ACL_DENIED_KEY, 2);
    check_answer("-@all +get (-@all +set)", "del x", ACL_DENIED_COMMAND, 0);
}

TEST(many_keys_are_all_looked_at) {
    struct acl_user u;
    struct slice argv[102] = {SLICE("mget")};
    int at;
    acl_user_init(&u, SLICE("u"));
    EXPECT(acl_apply_text(&u, SLICE("+@all ~a")) == NULL);
    for (int i = 1; i < 102; i++) argv[i] = SLICE("a");
    EXPECT_EQ_INT(acl_check(&u, command_by_name(argv[0]), 102, argv, &at), ACL_ALLOWED);
    argv[101] = SLICE("b");
    EXPECT_EQ_INT(acl_check(&u, command_by_name(argv[0]), 102, argv, &at), ACL_DENIED_KEY);
    EXPECT_EQ_INT(at, 101);
    acl_user_free(&u);
}

/* --- users of a server --- */

TEST(a_user_is_made_and_unmade) {
    server_open();
    struct session *admin = client_open("127.0.0.1:1"), *s = client_open("127.0.0.1:2");
    client_check(admin, "acl whoami", "$7 default");
    client_check(admin, "acl setuser bob on >secret ~a* +get +acl|whoami", "+OK");
    client_check(admin, "acl users", "*2 $3 bob $7 default");
    client_check(s, "auth bob wrong", "-WRONGPASS invalid username-password pair or user is disabled.");
    client_check(s, "auth bob secret", "+OK");
    client_check(s, "acl whoami", "$3 bob");
    client_check(s, "get abc", "$-1");
    client_check(s, "get b",
                 "-NOPERM this user has no permissions to access one of the keys used as arguments");
    client_check(s, "set abc x", "-NOPERM this user has no permissions to run the 'set' command");
    client_check(s, "config get x", "-NOPERM this user has no permissions to run the 'config|get' command");
    client_check(admin, "acl setuser bob off", "+OK"); /* who is in stays in */
    client_check(s, "get abc", "$-1");
    client_check(client_open("127.0.0.1:3"), "auth bob secret",
                 "-WRONGPASS invalid username-password pair or user is disabled.");
    client_check(admin, "acl setuser bob allcommands", "+OK"); /* rights change at once */
    client_check(s, "set abc x", "+OK");
    uint64_t id = s->id;
    client_check(admin, "acl deluser bob nobody", ":1");
    EXPECT_EQ_U64(world.closed_id, id);
    client_check(admin, "acl deluser default", "-ERR The 'default' user cannot be removed");
    client_check(admin, "acl getuser bob", "$-1");
    server_close();
}

TEST(what_is_wrong_is_told_before_the_log) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check(s, "acl setuser \"a b\"", "-ERR Usernames can't contain spaces or null characters");
    EXPECT_EQ_INT(world.gate, GATE_REFUSED);
    client_check(s, "acl setuser b (+get", "-ERR Unmatched parenthesis in acl selector starting at '(+get'.");
    client_check(
        s, "acl setuser b on <secret",
        "-ERR Error in ACL SETUSER modifier '<secret': The password you are trying to remove from the "
        "user does not exist");
    EXPECT_EQ_INT(world.gate, GATE_REFUSED);
    client_check(s, "acl users", "*1 $7 default");
    client_check(
        s, "acl load",
        "-ERR This Redis instance is not configured to use an ACL file. You may want to specify users "
        "via the ACL SETUSER command and then issue a CONFIG REWRITE (assuming you have a Redis "
        "configuration file set) in order to store users in the Redis configuration.");
    server_close();
}

/* Neither the log nor the state ever has a password. */
TEST(passwords_are_hashes_before_the_log) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check(s, "acl setuser bob >x", "+OK");
    EXPECT_EQ_SLICE(desk.server.prepared.argv[3],
                    SLICE("#2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"));
    client_check(s, "acl setuser bob <x", "+OK");
    EXPECT_EQ_INT(desk.server.prepared.argv[3].data[0], '!');
    client_check(s, "config set requirepass x", "+OK");
    EXPECT_EQ_SLICE(desk.server.prepared.argv[0], SLICE("_requirepass"));
    EXPECT_EQ_SLICE(desk.server.prepared.argv[2],
                    SLICE("2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"));
    client_check(s, "multi", "+OK");
    client_check(s, "acl setuser eve >hidden", "+QUEUED");
    EXPECT(memmem(s->transaction.queue.data, s->transaction.queue.len, "hidden", 6) == NULL);
    client_check(s, "discard", "+OK");
    client_run(s, "config set slowlog-log-slower-than 0");
    client_run(s, "acl setuser eve >hidden");
    client_run(s, "acl getuser eve");
    client_run(s, "auth eve hidden");
    EXPECT(strstr(client_run(s, "slowlog get -1"), "hidden") == NULL);
    EXPECT(strstr(client_run(s, "slowlog get -1"), "eve") == NULL);
    server_close();
}

TEST(users_are_in_the_state) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check(s, "acl setuser bob on nopass ~a (+get ~b)", "+OK");
    struct slice value;
    EXPECT(system_get(desk.ks, SLICE("user:bob"), &value));
    EXPECT_EQ_SLICE(value, SLICE("on nopass ~a resetchannels -@all (~b resetchannels -@all +get)"));
    EXPECT(system_get(desk.ks, SLICE("user:default"), &value));
    EXPECT_EQ_SLICE(value, SLICE("on nopass ~* &* +@all"));
    /* Another process finds them there. */
    acl_free(&desk.server.acl);
    acl_init(&desk.server.acl);
    s->user = desk.server.acl.default_user;
    acl_state_replaced(&desk.server);
    EXPECT(desk.server.acl.is_replicated);
    client_check(
        s, "acl list",
        "*2 $71 user bob on nopass ~a resetchannels -@all (~b resetchannels -@all +get) $34 user default on "
        "nopass ~* &* +@all");
    server_close();
}

TEST(another_state_ends_the_sessions_of_who_is_another) {
    server_open();
    struct session *s = client_open("127.0.0.1:1"), *bob = client_open("127.0.0.1:2"),
                   *eve = client_open("127.0.0.1:3");
    client_check(s, "acl setuser bob on nopass +@all", "+OK");
    client_check(s, "acl setuser eve on nopass +@all", "+OK");
    client_check(bob, "auth bob x", "+OK");
    client_check(eve, "auth eve x", "+OK");
    uint64_t id = eve->id;
    ks_begin_entry(desk.ks);
    system_set(desk.ks, SLICE("user:eve"), SLICE("on resetchannels -@all"));
    ks_set_applied(desk.ks, (struct ks_applied){.index = 100});
    acl_state_replaced(&desk.server);
    EXPECT_EQ_U64(world.closed_id, id);
    client_check(bob, "acl whoami", "$3 bob");
    server_close();
}

TEST(requirepass_is_the_default_users_password) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    client_check(s, "config set requirepass one", "+OK");
    client_check(s, "config get requirepass", "*2 $11 requirepass $3 one");
    client_check(client_open("127.0.0.1:2"), "get k", "-NOAUTH Authentication required.");
    client_check(s, "config set requirepass two", "+OK"); /* instead of the other */
    client_check(s, "auth one", "-WRONGPASS invalid username-password pair or user is disabled.");
    client_check(s, "auth two", "+OK");
    client_check(s, "config set requirepass \"\"", "+OK");
    client_check(client_open("127.0.0.1:3"), "get k", "$-1");
    client_check(
        s, "config set requirepass three hz nonsense",
        "-ERR CONFIG SET failed (possibly related to argument 'hz') - argument couldn't be parsed into an "
        "integer");
    client_check(client_open("127.0.0.1:4"), "get k", "$-1");
    server_close();
}

/* A password that is new in a file is proposed once, and when there is none at all. */
TEST(a_password_of_the_file) {
    char hash[SHA256_HEX_LEN], why[CONFIG_ERROR_CAP];
    struct server *server = &desk.server;
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    EXPECT(config_set(&server->config, config_find(SLICE("requirepass")), SLICE("file"), why));
    EXPECT(acl_take_config(server, why, sizeof why));
    EXPECT(!acl_is_plain(&server->acl));
    EXPECT(!acl_file_password(server, hash)); /* it will come with all users */
    client_check(s, "acl setuser bob", "+OK");
    EXPECT(!server->acl.default_user->nopass || acl_file_password(server, hash));
    server->acl.file_counts = true;
    EXPECT(acl_file_password(server, hash));
    ks_begin_entry(desk.ks);
    acl_store_requirepass(server, slice_make(hash, sizeof hash), server->start_ms - 1);
    acl_remember_file_password(desk.ks, slice_make(hash, sizeof hash));
    ks_set_applied(desk.ks, (struct ks_applied){.index = 100});
    EXPECT(!acl_file_password(server, hash));
    ks_begin_entry(desk.ks);
    acl_store_requirepass(server, SLICE(""),
                          server->start_ms - 1); /* before this process began: the file is newer */
    ks_set_applied(desk.ks, (struct ks_applied){.index = 101});
    EXPECT(acl_file_password(server, hash));
    ks_begin_entry(desk.ks);
    acl_store_requirepass(server, SLICE(""), server->start_ms + 1);
    ks_set_applied(desk.ks, (struct ks_applied){.index = 102});
    EXPECT(!acl_file_password(server, hash));
    server_close();
}

TEST(the_log_of_what_was_denied) {
    server_open();
    struct session *s = client_open("127.0.0.1:1"), *admin = client_open("127.0.0.1:2");
    client_check(admin, "acl setuser bob on nopass +get +multi ~a", "+OK");
    client_check(s, "auth bob x", "+OK");
    client_run(s, "get b");
    client_run(s, "get b");
    client_run(s, "set a x");
    client_run(s, "multi");
    client_run(s, "set a x");
    client_run(s, "auth bob2 x"); /* queued */
    client_check_has(
        admin, "acl log 1",
        "*14 $5 count :1 $6 reason $7 command $7 context $5 multi $6 object $3 set $8 username $3 bob");
    client_check_has(admin, "acl log 2",
                     "$5 count :1 $6 reason $7 command $7 context $8 toplevel $6 object $3 set");
    client_check_has(admin, "acl log", "*3 ");
    client_check_has(admin, "acl log", "$5 count :2 $6 reason $3 key $7 context $8 toplevel $6 object $1 b");
    client_run(client_open("127.0.0.1:3"), "auth eve x");
    client_check_has(admin, "acl log 1",
                     "$6 reason $4 auth $7 context $8 toplevel $6 object $4 auth $8 username $3 eve");
    client_run(admin, "config set acllog-max-len 2");
    client_run(s, "discard");
    client_check(admin, "acl log reset", "+OK");
    client_check(admin, "acl log", "*0");
    client_check(admin, "acl log x", "-ERR value is not an integer or out of range");
    server_close();
}

/* A follower hears of users later than the leader: it does not say no at once. */
TEST(a_follower_looks_twice) {
    server_open();
    struct session *s = client_open("127.0.0.1:1");
    desk.server.leadership = LEADERSHIP_THERE;
    client_run(s, "auth bob x");
    EXPECT_EQ_INT(world.gate, GATE_HOLD);
    desk.now_ms += 1000;
    client_check(s, "auth bob x", "-WRONGPASS invalid username-password pair or user is disabled.");
    client_run(s, "auth bob x");
    EXPECT_EQ_INT(world.gate, GATE_HOLD);
    EXPECT(acl_apply(s->user, SLICE("-config")) == NULL); /* not all of a restricted user's, either */
    desk.now_ms += 1000;
    client_check(s, "auth bob x", "-WRONGPASS invalid username-password pair or user is disabled.");
    client_run(s, "config get x");
    EXPECT_EQ_INT(world.gate, GATE_HOLD);
    desk.now_ms += 1000;
    client_check(s, "config get x", "-NOPERM this user has no permissions to run the 'config|get' command");
    server_close();
}

TEST_MAIN
