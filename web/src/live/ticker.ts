// A worker: its clock goes on while its tab is in the background, where a page's own almost stops.
setInterval(() => postMessage(0), 1_000 / 30);
