const fs = require('fs');

// Where releases are linked, paths go through `current`, so that a reload starts the release that is linked now.
const linked = '/srv/campaign/current/whatsapp-service';
const directory = fs.existsSync(linked) ? linked : __dirname;

module.exports = {
    apps: [
        {
            name: 'whatsapp-service',
            cwd: directory,
            script: `${directory}/server.js`,
            exec_mode: 'fork',
            instances: 1,
            kill_timeout: 10000,
            max_restarts: 10,
            min_uptime: 5000,
            restart_delay: 1000,
            env: { ENV_FILE: '/srv/campaign/shared/whatsapp.env' },
        },
    ],
};
