const fs = require('fs');

// The file is read here and not by pm2: pm2 copies the environment it gives a process into its world-readable dump.
function load() {
    const file = process.env.ENV_FILE ?? '/srv/campaign/shared/whatsapp.env';
    const values = {};

    for (const line of fs.readFileSync(file, 'utf8').split('\n')) {
        const match = /^\s*([A-Z][A-Z0-9_]*)=(.*)$/.exec(line);

        if (match) {
            values[match[1]] = match[2].trim().replace(/^(["'])(.*)\1$/, '$2');
        }
    }

    return values;
}

module.exports = { load };
