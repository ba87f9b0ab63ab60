/* Folders as units: made, synced, moved, thrown away. What is thrown away is renamed at once and deleted in the
 * background, for deleting gigabytes takes as long as the disk likes. */
#ifndef STORAGE_FOLDER_H
#define STORAGE_FOLDER_H

#include "kv.h"

struct path {
    char text[4352];
};

/* `folder`/`name`; a path that does not fit is our own mistake, the configuration's length is checked where it is read. */
struct path path_in(const char *folder, const char *name);
struct path path_make(const char *text);
bool path_exists(const char *path);

/* Fills in the text of `errno` after a failed call; RC_NO_SPACE or RC_IO. */
enum rc folder_error(struct kv_error *error, const char *what, const char *path);

MUST_USE enum rc folder_make(const char *path, struct kv_error *error); /* one that exists is fine */
MUST_USE enum rc folder_sync(const char *path,
                             struct kv_error *error); /* the names in it, not the files' bytes */
/* Whole, small files. Writing replaces: after a crash the old file is there or the new one (the folder synced). */
MUST_USE enum rc file_read(const char *path, size_t bytes_max, struct buf *out, struct kv_error *error);
MUST_USE enum rc file_write(const char *folder, const char *name, struct slice bytes, struct kv_error *error);

/* Moves it out of the way, to a name in `group` that a sweeper deletes. What does not exist is fine. Not synced. */
MUST_USE enum rc folder_discard(const char *group, const char *path, struct kv_error *error);
/* Deletes now, files and folders. */
void folder_remove(const char *path);

/* A thread that deletes what was discarded in `group`, now and before. */
struct sweeper;
struct sweeper *sweeper_start(const char *group);
void sweeper_look(struct sweeper *s); /* something was discarded */
/* Ends after the file it is at; what is left is deleted after the next start. NULL is fine. */
void sweeper_stop(struct sweeper *s);

#endif
