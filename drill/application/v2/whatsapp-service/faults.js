const fs = require('fs');

const FILE = '/srv/campaign/shared/faults.json';

// Defects of this release that a drill switches on with a file. Without the file there are none.
function failedSessions() {
    try {
        return JSON.parse(fs.readFileSync(FILE, 'utf8')).failed_sessions ?? [];
    } catch {
        return [];
    }
}

module.exports = { failedSessions };
