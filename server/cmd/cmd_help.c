/* The HELP subcommands: a line of syntax, then what it does. */
#include "cmd.h"
#include "handlers.h"

#include <ctype.h>
#include <stdio.h>

/* `lines` ends with NULL; the first and the last two lines are the same for all. */
static void help(struct cmd_ctx *c, const char *const *lines) {
    char title[128];
    const struct command *container = c->cmd->parent != NULL ? c->cmd->parent : c->cmd;
    int n = snprintf(title, sizeof title,
                     "%s <subcommand> [<arg> [value] [opt] ...]. Subcommands are:", container->name);
    CHECK(n > 0 && (size_t)n < sizeof title);
    for (char *p = title; *p != ' '; p++) *p = (char)toupper((unsigned char)*p);
    size_t count = 0;
    while (lines[count] != NULL) count++;
    reply_array(c->reply, count + 3);
    reply_simple(c->reply, title);
    for (size_t i = 0; i < count; i++) reply_simple(c->reply, lines[i]);
    reply_simple(c->reply, "HELP");
    reply_simple(c->reply, "    This text.");
}

void cmd_function_help(struct cmd_ctx *c) {
    static const char *const lines[] = {
        "DELETE <library>",
        "    Delete the library and its functions.",
        "DUMP",
        "    All libraries, as FUNCTION RESTORE takes them.",
        "FLUSH [ASYNC|SYNC]",
        "    Delete all libraries.",
        "KILL",
        "    End the function that runs, unless it has written already.",
        "LIST [LIBRARYNAME <pattern>] [WITHCODE]",
        "    The libraries, or those whose names match, with their functions, and with their code.",
        "LOAD [REPLACE] <code>",
        "    Add the library that the code declares, or put it in place of the one of its name.",
        "RESTORE <payload> [FLUSH|APPEND|REPLACE]",
        "    Add libraries that were dumped: after deleting all there are, only if none of them is there yet "
        "(which is",
        "    usual), or in place of those of their names. All or none of them.",
        "STATS",
        "    The function that runs, and how many libraries and functions there are.",
        NULL,
    };
    help(c, lines);
}

void cmd_script_help(struct cmd_ctx *c) {
    static const char *const lines[] = {
        "DEBUG (YES|SYNC|NO)",
        "    There is no debugger: NO is all it takes.",
        "EXISTS <sha1> [<sha1> ...]",
        "    Which of these scripts are kept.",
        "FLUSH [ASYNC|SYNC]",
        "    Forget all scripts, on every node.",
        "KILL",
        "    End the script that runs, unless it has written already.",
        "LOAD <script>",
        "    Keep a script, without running it, on every node.",
        NULL,
    };
    help(c, lines);
}

void cmd_client_help(struct cmd_ctx *c) {
    static const char *const lines[] = {
        "CACHING (YES|NO)",
        "    Whether what the next command reads is kept in the client's cache.",
        "GETNAME",
        "    The name of this connection.",
        "GETREDIR",
        "    Where this connection's invalidation messages go.",
        "ID",
        "    The id of this connection.",
        "INFO",
        "    What the server knows about this connection.",
        "KILL <ip:port>",
        "    Close the connection from there.",
        "KILL <option> <value> [<option> <value> [...]]",
        "    Close connections that match all of:",
        "    ADDR <ip:port>, LADDR <ip:port>: the address of the client, or the server's.",
        "    ID <client-id>: the connection with this id.",
        "    TYPE (NORMAL|MASTER|REPLICA|PUBSUB): its kind.",
        "    USER <username>: who it belongs to.",
        "    SKIPME (YES|NO): whether to spare this connection; yes unless said otherwise.",
        "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <client-id> [...]]",
        "    What the server knows about its connections.",
        "NO-EVICT (ON|OFF)",
        "    Spare this connection when memory for clients runs out.",
        "PAUSE <timeout> [WRITE|ALL]",
        "    Let commands, or only writes, wait for so many milliseconds.",
        "REPLY (ON|OFF|SKIP)",
        "    Answer commands, answer none, or leave out the next one.",
        "SETINFO (LIB-NAME|LIB-VER) <value>",
        "    Say which library is talking.",
        "SETNAME <name>",
        "    Name this connection.",
        "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]] [OPTIN] [OPTOUT] [NOLOOP]",
        "    Tell this connection, or that one, of changes to what is kept in the client's cache.",
        "TRACKINGINFO",
        "    The state of client side caching on this connection.",
        "UNBLOCK <clientid> [TIMEOUT|ERROR]",
        "    Wake a connection that waits in a blocking command.",
        "UNPAUSE",
        "    End a pause.",
        NULL,
    };
    help(c, lines);
}

void cmd_config_help(struct cmd_ctx *c) {
    static const char *const lines[] = {
        "GET <pattern> [<pattern> ...]",
        "    Names that match, and their values.",
        "SET <directive> <value> [<directive> <value> ...]",
        "    Change values, all or none.",
        "RESETSTAT",
        "    Begin counting anew.",
        "REWRITE",
        "    Bring the configuration file up to date.",
        NULL,
    };
    help(c, lines);
}

void cmd_command_help(struct cmd_ctx *c) {
    static const char *const lines[] = {
        "(no subcommand)",
        "    The facts about every command.",
        "COUNT",
        "    How many commands there are.",
        "LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]",
        "    Their names.",
        "INFO [<command-name> ...]",
        "    The facts about some commands, or all.",
        "DOCS [<command-name> ...]",
        "    The same for people: summaries, arguments, versions.",
        "GETKEYS <full-command>",
        "    Which arguments are keys.",
        "GETKEYSANDFLAGS <full-command>",
        "    And what happens to these keys.",
        NULL,
    };
    help(c, lines);
}

void cmd_memory_help(struct cmd_ctx *c) {
    static const char *const lines[] = {
        "DOCTOR",
        "    What is wrong with the use of memory, if anything.",
        "MALLOC-STATS",
        "    What the allocator says about itself.",
        "PURGE",
        "    Give unused memory back to the system.",
        "STATS",
        "    Where memory goes.",
        "USAGE <key> [SAMPLES <count>]",
        "    The bytes a key and its value take.",
        NULL,
    };
    help(c, lines);
}

void cmd_slowlog_help(struct cmd_ctx *c) {
    static const char *const lines[] = {
        "GET [<count>]",
        "    The newest entries, 10 unless said otherwise, -1 for all. An entry is:",
        "    id, time, microseconds, arguments, address and name of the client.",
        "LEN",
        "    How many entries there are.",
        "RESET",
        "    Forget them.",
        NULL,
    };
    help(c, lines);
}

void cmd_acl_help(struct cmd_ctx *c) {
    static const char *const lines[] = {
        "CAT [<category>]",
        "    The categories of commands, or the commands of one.",
        "DELUSER <username> [<username> ...]",
        "    Delete users, and close their connections.",
        "DRYRUN <username> <command> [<arg> ...]",
        "    Whether the user may give this command; it is not run.",
        "GETUSER <username>",
        "    What a user may do.",
        "GENPASS [<bits>]",
        "    A random password, of 256 bits unless said otherwise.",
        "LIST",
        "    All users with their rules, as an ACL file has them.",
        "LOAD",
        "    Make the users of the leader's ACL file those of the cluster.",
        "LOG [<count> | RESET]",
        "    What was denied lately on this node; or forget it.",
        "SAVE",
        "    Write the users to this node's ACL file.",
        "SETUSER <username> <attribute> [<attribute> ...]",
        "    Add rules to a user, on all nodes; make the user when there is none.",
        "USERS",
        "    The names of all users.",
        "WHOAMI",
        "    Who this connection is.",
        NULL,
    };
    help(c, lines);
}

void cmd_latency_help(struct cmd_ctx *c) {
    static const char *const lines[] = {
        "DOCTOR",
        "    A report for people.",
        "GRAPH <event>",
        "    The samples of an event, drawn.",
        "HISTOGRAM [COMMAND ...]",
        "    How long commands took, cumulated by powers of two.",
        "HISTORY <event>",
        "    The samples of an event: time and milliseconds.",
        "LATEST",
        "    The last sample of each event, and its worst.",
        "RESET [<event> ...]",
        "    Forget these events, or all.",
        NULL,
    };
    help(c, lines);
}

void cmd_module_help(struct cmd_ctx *c) {
    static const char *const lines[] = {
        "LIST",
        "    The modules that are loaded: there are none.",
        "LOAD <path> [<arg> ...]",
        "LOADEX <path> [[CONFIG NAME VALUE] [CONFIG NAME VALUE]] [ARGS ...]",
        "UNLOAD <name>",
        "    Refused: this server has no modules.",
        NULL,
    };
    help(c, lines);
}

void cmd_cluster_help(struct cmd_ctx *c) {
    static const char *const lines[] = {
        "ADDSLOTS <slot> [<slot> ...]",
        "ADDSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
        "DELSLOTS <slot> [<slot> ...]",
        "DELSLOTSRANGE <start slot> <end slot> [<start slot> <end slot> ...]",
        "FLUSHSLOTS",
        "    Refused: all slots belong to the leader.",
        "BUMPEPOCH",
        "    The epoch, which is Raft's term; it stays.",
        "COUNT-FAILURE-REPORTS <node-id>",
        "    1 for a node that is out of reach, as far as this one can tell.",
        "COUNTKEYSINSLOT <slot>",
        "    How many keys a slot has.",
        "FAILOVER [FORCE|TAKEOVER]",
        "    Make this node the leader: with the help of the one there is, or by an election.",
        "FORGET <node-id>",
        "    Remove a node from the cluster.",
        "GETKEYSINSLOT <slot> <count>",
        "    Some of the keys of a slot.",
        "INFO",
        "    The state of the cluster in numbers.",
        "KEYSLOT <key>",
        "    The slot of a key.",
        "LINKS",
        "    This node's links to others.",
        "MEET <host> <port> [<bus-port>]",
        "    Take a node into the cluster; the bus port is 10000 more than the port.",
        "MYID",
        "    The name of this node.",
        "NODES",
        "    A line for each node:",
        "    <id> <ip:port@bus-port> <flags> <master> <pings> <pongs> <epoch> <link> <slots>",
        "REPLICAS <node-id>",
        "    The replicas of the master.",
        "REPLICATE <node-id>",
        "    Accepted for the master.",
        "RESET [HARD|SOFT]",
        "    Refused: a node leaves by FORGET.",
        "SAVECONFIG",
        "    Accepted; members are in the log.",
        "SET-CONFIG-EPOCH <epoch>",
        "    Refused: elections set the epoch.",
        "SETSLOT <slot> (IMPORTING <node-id>|MIGRATING <node-id>|STABLE|NODE <node-id>)",
        "    STABLE, and NODE with the master, are accepted; the rest is refused.",
        "SHARDS",
        "    The slots and the nodes that have them.",
        "SLOTS",
        "    The same in an older form.",
        NULL,
    };
    help(c, lines);
}

void cmd_raft_cluster_help(struct cmd_ctx *c) {
    static const char *const lines[] = {
        "INIT",
        "    Begin a cluster with this fresh node.",
        "JOIN <host:port> [<host:port> ...]",
        "    Ask members of a cluster to let this fresh node in.",
        NULL,
    };
    help(c, lines);
}

void cmd_raft_node_help(struct cmd_ctx *c) {
    static const char *const lines[] = {
        "ADD [<node-id>|0|auto] <host:port>",
        "    Take a node into the cluster, as a learner until it has caught up.",
        "ADDRESS <node-id> <host:port>",
        "    Say where a member is from now on.",
        "PROMOTE <node-id>",
        "    Give a learner its vote.",
        "REMOVE (<node-id>|<host:port>)",
        "    Remove a node from the cluster.",
        NULL,
    };
    help(c, lines);
}

void cmd_sentinel_help(struct cmd_ctx *c) {
    static const char *const lines[] = {
        "CKQUORUM <master-name>",
        "    Whether a majority of nodes is there.",
        "FAILOVER <master-name>",
        "    Hand the leadership over.",
        "GET-MASTER-ADDR-BY-NAME <master-name>",
        "    Where the leader is; nothing while there is none.",
        "MASTER <master-name>",
        "MASTERS",
        "    The leader, by the name asked for, or by those of sentinel-master-name.",
        "MYID",
        "    The name of this node.",
        "REPLICAS <master-name>",
        "    The followers.",
        "SENTINELS <master-name>",
        "    The other nodes.",
        NULL,
    };
    help(c, lines);
}

/* DEBUG has no rows for its subcommands; cmd_debug.c calls this. */
void cmd_debug_help(struct cmd_ctx *c) {
    static const char *const lines[] = {
        "CHANGE-REPL-ID",
        "    Accepted; there is no such id to change.",
        "CONFIG-REWRITE-FORCE-ALL",
        "    Write every value into the configuration file, defaults too.",
        "DIGEST",
        "    A checksum of all data, equal on nodes with equal data.",
        "DIGEST-VALUE <key> [<key> ...]",
        "    Checksums of values.",
        "ERROR <string>",
        "    Answer with this error.",
        "HTSTATS <dbid>",
        "    How many keys a database has.",
        "HTSTATS-KEY <key>",
        "    How many elements a value has that Redis would keep in a hash table.",
        "LISTPACK <key>",
        "    Whether Redis would keep the value in a listpack.",
        "LOADAOF",
        "    The same as RELOAD.",
        "LOG <message>",
        "    Accepted.",
        "OBJECT <key>",
        "    How a value is kept.",
        "PAUSE-CRON (0|1)",
        "    Accepted.",
        "POPULATE <count> [<prefix>] [<size>]",
        "    Make so many keys, on all nodes.",
        "PROTOCOL <type>",
        "    Answer with a value of this type: string, integer, double, bignum, null, array, set, map, "
        "attrib, push, "
        "verbatim, true, false.",
        "QUICKLIST <key>",
        "    Whether the value is a list.",
        "QUICKLIST-PACKED-THRESHOLD <size>",
        "    Accepted.",
        "RELOAD [option ...]",
        "    Store everything, forget what is in memory, and go on from disk.",
        "REPLYBUFFER (PEAK-RESET-TIME|RESIZING) <value>",
        "    Accepted.",
        "SDSLEN <key>",
        "    Lengths of a key and its string.",
        "SET-ACTIVE-EXPIRE (0|1)",
        "    Whether keys are deleted when their time has come.",
        "SET-DISABLE-DENY-SCRIPTS (0|1)",
        "    Whether scripts may call DEBUG PROTOCOL.",
        "SET-SKIP-CHECKSUM-VALIDATION (0|1)",
        "    Accepted.",
        "SLEEP <seconds>",
        "    Block the whole server.",
        "STRINGMATCH-TEST",
        "    Match random patterns.",
        "STRUCTSIZE",
        "    Sizes of what keys are made of.",
        NULL,
    };
    help(c, lines);
}

void cmd_xgroup_help(struct cmd_ctx *c) {
    static const char *const lines[] = {
        "CREATE <key> <groupname> <id|$> [option]",
        "    Make a group that has read up to there. Options are:",
        "    * MKSTREAM",
        "      Make the stream, too, when there is none.",
        "    * ENTRIESREAD entries_read",
        "      How many entries it has read already.",
        "CREATECONSUMER <key> <groupname> <consumer>",
        "    Make a consumer of a group.",
        "DELCONSUMER <key> <groupname> <consumer>",
        "    Delete a consumer, and what is pending for it.",
        "DESTROY <key> <groupname>",
        "    Delete a group.",
        "SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]",
        "    Say up to where a group has read.",
        NULL,
    };
    help(c, lines);
}

void cmd_xinfo_help(struct cmd_ctx *c) {
    static const char *const lines[] = {
        "CONSUMERS <key> <groupname>",
        "    The consumers of a group.",
        "GROUPS <key>",
        "    The groups of a stream.",
        "STREAM <key> [FULL [COUNT <count>]",
        "    The stream itself; FULL: its entries, and its groups with all that is pending.",
        NULL,
    };
    help(c, lines);
}

void cmd_pubsub_help(struct cmd_ctx *c) {
    static const char *const lines[] = {
        "CHANNELS [<pattern>]",
        "    The channels that somebody listens to and that match the pattern.",
        "NUMPAT",
        "    How many patterns are listened to.",
        "NUMSUB [<channel> ...]",
        "    How many listen to each of these channels; patterns do not count.",
        "SHARDCHANNELS [<pattern>]",
        "    The shard channels that somebody listens to and that match the pattern.",
        "SHARDNUMSUB [<shardchannel> ...]",
        "    How many listen to each of these shard channels.",
        NULL,
    };
    help(c, lines);
}
