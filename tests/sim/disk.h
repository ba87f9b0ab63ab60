/* A simulated disk with its file system: folders, files, and databases (sim_kv.c), each with what is durable and what
 * only the page cache has. A kill leaves the page cache; a power cut leaves what was synced, and of the rest whatever
 * chance decides: files torn at sectors, of the changes of names a prefix. */
#ifndef SIM_DISK_H
#define SIM_DISK_H

#include "buf.h"
#include "list.h"
#include "world.h"

struct kvdb;     /* sim_kv.h */
struct conn_ref; /* sim_uv.h */

#define NOT_CHANGED SIZE_MAX

struct inode {
    uint32_t refs; /* names, open files, the journal */
    bool is_dir;
    bool dirty; /* what was changed is in the cache only */
    bool lost;  /* a sync failed: the cache looks clean and is not the disk */
    struct buf data;
    /* On the disk: `data`, but that bytes from old_from on are still these, and its length (NOT_CHANGED: the same). */
    struct buf old;
    size_t old_from, old_len;
    struct list entries; /* struct entry */
    struct kvdb *db;     /* a folder that is a database */
    const struct process *locked_by;
};

struct entry {
    struct list link;
    struct inode *inode;
    char name[200];
};

/* What it does to its user. The plan turns these while the world runs. */
struct disk_manners {
    uint64_t sync_us;    /* mean time of a sync */
    double stall_chance; /* of a sync: takes stall_us instead */
    uint64_t stall_us;
    double sync_fails;   /* chance of EIO, for each sync */
    double write_fails;  /* chance of EIO or ENOSPC, for each write of a file */
    uint64_t free_bytes; /* what statvfs says; 0: writes are refused, too */
};

struct disk {
    struct inode *root;
    struct list journal; /* struct name_change: not durable yet, oldest first */
    struct disk_manners manners;
    uint64_t syncs, bytes_written;
    void (*doomed)(struct disk *d); /* called once, as the next sync begins, which then takes long */
    bool was_bad;                   /* it refused or lost something, or may have */
    bool ingest_failed;             /* the state's database takes nothing more until it is opened again */
};

struct sim_file {
    enum { FILE_PLAIN, FILE_EVENT, FILE_SOCKET } kind;
    struct inode *inode;
    size_t at;
    bool writable, append;
    uint64_t counter;      /* FILE_EVENT */
    struct conn_ref *conn; /* FILE_SOCKET: sim_uv.c */
};

struct disk *disk_new(void);
void disk_free(struct disk *d);
void disk_power_cut(struct disk *d);
void disk_wipe(struct disk *d); /* everything is gone, as with a new disk */
/* Flips one bit of a durable file or row; what, if anything, is told in `what`. */
bool disk_rot(struct disk *d, char *what, size_t cap);

/* The running process's; in unit tests, the one given. */
struct disk *disk_current(void);
void disk_use(struct disk *d);

/* Takes the time of a sync; RC_IO when it fails. Called on a thread, other threads go on meanwhile. */
enum rc disk_sync(struct disk *d);

/* NULL with errno. `parent` and `name` are set when only the last part is missing. */
struct inode *disk_find(struct disk *d, const char *path);
enum rc disk_make_dir(struct disk *d, const char *path, bool durable);
/* Makes or replaces a file, at once durable when asked. */
struct inode *disk_make_file(struct disk *d, const char *path, bool durable);
enum rc disk_remove(struct disk *d, const char *path);
/* A power cut may still take away a name on this path; that of a file beside it, or one that is gone, does not count. */
bool disk_path_is_pending(struct disk *d, const char *path);
void disk_commit_names(struct disk *d); /* all changes of names so far become durable */
struct inode *inode_keep(struct inode *i);
void inode_drop(struct inode *i);
void inode_is_durable(struct inode *i); /* as it is now */

int fd_of_conn(struct conn_ref *c); /* an open file of the running process */

/* process_kill: its open files and locks */
void files_forget(struct process *p);
struct sim_file *file_of_fd(int fd); /* of the running process; NULL */

/* Of the running process, when its main has returned (cluster.c). */
void machine_process_ended(struct machine *m, struct process *p);
struct disk *machine_disk(struct machine *m);
/* Its clocks, in microseconds. */
int64_t machine_wall_us(const struct machine *m);
uint64_t machine_mono_us(const struct machine *m);
/* The world's time at which its monotonic clock will show this. */
uint64_t machine_world_us(const struct machine *m, uint64_t mono_us);
const char *machine_name(const struct machine *m);
int machine_host(const struct machine *m); /* in the network */

#endif
