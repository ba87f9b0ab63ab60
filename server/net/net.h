/* Sockets: listeners and client connections on one libuv loop. Bytes in become commands for the handler; replies
 * gather in each connection's output and leave in one write per loop turn. What a command means is not known here.
 *
 * A connection's life:
 *
 *            accept                     EOF, QUIT, kill, error        nothing pending, output sent (or hopeless)
 *   (none) ----------> OPEN ---------------------------> DRAINING ------------------------------------> CLOSING --> freed
 *                        |  conn_hold  ^
 *                        v             | conn_resume
 *                       HELD ----------+          (input stays where it is; nothing is read or parsed)
 *
 * Memory: the struct is freed after libuv's close callback and after the last pending operation was let go.
 * Bounds: input per connection by client-query-buffer-limit (then closed with an error in the log); unanswered
 * commands by CONN_PENDING_MAX and unsent output by CONN_OUTPUT_PAUSE (then reading pauses until it drains). */
#ifndef NET_NET_H
#define NET_NET_H

#include "buf.h"
#include "check.h"
#include "resp_parse.h"
#include "session.h"

#include <uv.h>

struct config;
struct net;
struct peer_client;
struct proposal;
struct blocked;
struct copy;
struct moving;
struct forward;
struct waiter;

enum { CONN_MAGIC = 0x434f4e4e, CONN_PENDING_MAX = 20000, CONN_OUTPUT_PAUSE = 4 << 20 };

struct conn {
    uint32_t magic;
    struct net *net;
    struct session session;
    union {
        uv_handle_t handle;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } uv;

    struct buf in; /* bytes that could not be parsed yet */
    struct resp_parser parser;
    struct buf out;      /* replies of this turn */
    struct buf sending;  /* handed to libuv, when the socket did not take everything at once ... */
    size_t sending_from; /* ... from here on: what it did take is not moved out of the way */
    uv_write_t write;
    bool is_sending;
    struct list flush_link; /* in net->to_flush while there is something to write */
    struct list held_link;  /* in net->held while the handler wants it to wait */

    bool is_reading, draining, closing, handle_closed;
    bool in_process;       /* conn_process is on the stack */
    bool is_at_end;        /* nothing in `in` is behind the command that is offered */
    size_t command_at;     /* where in the input that command begins */
    bool is_written;       /* what is in `out` was tried to be sent ahead of the flush: */
    ssize_t written;       /* so much of it was, or -errno */
    bool owes_error;       /* the parser's error is to be said when everything pending is answered */
    size_t memory_counted; /* of net->client_memory */
    uint64_t active_ms;    /* loop time when bytes last came or went */
    size_t unsent_seen;    /* what libuv had still to send when net_look_after last looked */
    uint64_t over_soft_ms; /* loop time when output first was seen above its soft limit; 0: it is not */

    /* The handler's: it waits in a list of the handler's by held_link. It is read from, but nothing is parsed. */
    bool parked;
    bool closes_at_eof;         /* it waits for what may never come: it goes as soon as its client does */
    struct blocked *blocked_in; /* what its last command waits for; NULL: nothing */
    bool ended;                 /* the client sends no more: to be drained when what it sent is parsed */
    bool confirmed;   /* what is being parsed now may be read: this leader was confirmed after it had come */
    size_t covered;   /* bytes of `in` that had come when that was asked */
    uint64_t read_id; /* the round that asks */

    uint64_t waits_since_ms; /* for a leader to be known; 0: it does not */
    bool given_back;         /* of a walk over an entry's operations: this connection is done with */
    struct waiter *waiter;   /* what it waits for, when blocked; else NULL */
    bool blocked; /* its last command is answered later, and nothing further is parsed before that */
    struct forward *forward; /* its way to the leader; NULL before it is needed */
    uint32_t forwarded;      /* of `pending`, those that went that way */
    struct copy *copy;       /* of the data, which it is being sent (copies.c) */
    struct moving *moving;   /* what it has MIGRATE move (migrate.c) */
    bool tunnels;            /* everything goes that way, unread, to the end (forward.c) */

    /* Commands of this connection whose replies are still to come. */
    uint32_t pending;
    uint32_t pending_reads;         /* of these, commands that will run here and may write much */
    struct proposal *last_proposal; /* where the newest of them is; meaningless when pending is 0 */
};

enum conn_verdict {
    CONN_NEXT, /* the command was taken */
    CONN_HOLD, /* not now: the same command is offered again by conn_resume */
    CONN_PARK, /* not now: offered again by conn_unpark; the handler has it in a list of its own, by held_link */
    CONN_BLOCK, /* it was taken, and nothing further is offered before conn_unpark */
};

struct net_handler {
    void *arg;
    void (*opened)(void *arg, struct conn *c);
    void (*flushed)(void *arg, struct conn *c); /* output has left: there may be room again */
    void (*closed)(void *arg, struct conn *c);  /* no more commands come; pending replies go nowhere */
    enum conn_verdict (*command)(void *arg, struct conn *c, int argc, const struct slice *argv);
    /* Offered what is still to be parsed, so that what it will need can be fetched meanwhile. Says of how many commands: it is
     * asked again behind these, or with the next that come. NULL: no use for it. */
    size_t (*coming)(void *arg, const struct conn *c, struct slice input);
    void (*log)(void *arg, const char *line);
    /* Whether a client has to say a password before anything else. NULL: requirepass says so. */
    bool (*needs_password)(void *arg);
    /* A client of another node came in: it is this user there. False when there is no such user here. NULL: any will do. */
    bool (*adopted)(void *arg, struct conn *c, const struct peer_client *client);
};

/* The largest input and output of a connection within one second. */
enum { NET_PEAK_SECONDS = 8 };
struct net_peak {
    uint64_t second;
    size_t input, output;
};

struct net {
    uv_loop_t *loop;
    const struct config *config;
    struct net_handler handler;
    struct list to_flush, held, listeners;
    uint64_t conn_count;
    uint64_t client_memory;                  /* of all connections */
    struct net_peak peaks[NET_PEAK_SECONDS]; /* client_memory.c's */
    uint64_t evicted;                        /* connections closed for it */
    uint64_t bytes_in, bytes_out, reads, writes, accepted, rejected;
    struct io_threads *io; /* NULL: the loop writes by itself */
    char *scratch;         /* input of the connection being read, when it has none left over */
    bool scratch_busy;
    bool stopping;
};

void net_init(struct net *net, uv_loop_t *loop, const struct config *config, struct net_handler handler);
/* Binds everything that bind, port and unixsocket name. RC_IO with a text in `error` if any of it fails. */
MUST_USE enum rc net_listen(struct net *net, char *error, size_t cap);
/* A socket that a peer opened for one of its clients and that has passed the handshake: it becomes a connection like any
 * other, with session.forwarded and session.authenticated set and what `client` says in the session; `leftover` is input
 * that came already. The fd is taken over in any case. NULL when there are too many connections, or not its user: it is told so and
 * closed. */
struct conn *net_adopt(struct net *net, int fd, struct slice leftover, const struct peer_client *client);
bool net_needs_password(const struct net *net);
/* "127.0.0.1:6379, /path/to.sock" */
void net_describe(const struct net *net, struct buf *out);
void net_unlisten(struct net *net);
/* Writes what the turn has gathered; call it once at the end of each turn. */
void net_flush(struct net *net);
/* Offers held connections their command again. */
void net_resume(struct net *net);
/* Behind each read and each flush: closes the largest connections while all of them together take more than maxmemory-clients. */
void net_evict_clients(struct net *net);
/* The largest of the last few seconds. */
struct net_peak net_recent_peak(const struct net *net);
/* What it takes of memory. */
size_t conn_memory(const struct conn *c);
/* Called about once a second. Closes connections on which no byte came or went for longer than `timeout` and which wait
 * for no answer, and those whose output was above the soft client-output-buffer-limit for too long. */
void net_look_after(struct net *net);
/* Stops reading everywhere and closes each connection as soon as it is drained. */
void net_stop(struct net *net);
/* Closes every connection that is left, whatever it still waits for. */
void net_close_all(struct net *net);
void net_free(struct net *net);

/* Output has been added to c->out: it leaves at the end of the turn. */
static inline void conn_touch(struct conn *c) {
    if (!list_empty(&c->flush_link)) return;
    list_push_back(&c->net->to_flush, &c->flush_link);
}
/* Appends what the client did not ask for, unless it is about to be closed or too far behind (then the flush closes it). */
void conn_push(struct conn *c, struct slice bytes);
size_t conn_unsent(
    const struct conn *c); /* what this client is owed and has not been able to take, or not wanted to */
/* One pending command was answered (or its answer has nowhere to go). May free the connection. */
void conn_let_go(struct conn *c);
void conn_close_with_reason(struct conn *c, const char *reason); /* which is logged */
/* Puts requests in front of what is still to be parsed; they are offered with the next turn. */
void conn_unread(struct conn *c, struct slice requests);
/* While a command is offered: the buffer that ends with it, where it begins at command_at, and that has nothing in it which is
 * still needed when it was taken; the handler may take the bytes then, and leave it empty. NULL: the command lies elsewhere, or
 * is not the last. */
struct buf *conn_input(struct conn *c);
/* Offers a parked connection's commands again; with `confirmed`, those that had come when it was `covered` under that
 * sign. The handler has taken it off its list. */
void conn_unpark(struct conn *c, bool confirmed);
/* Closes when everything pending is answered and sent; nothing further is parsed. */
void conn_drain(struct conn *c);
/* Closes at once. */
void conn_close(struct conn *c);
static inline struct conn *conn_of_session(struct session *s) {
    return container_of(s, struct conn, session);
}

#endif
