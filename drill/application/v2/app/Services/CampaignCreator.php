<?php

namespace App\Services;

use App\Jobs\SendCampaignMessage;
use App\Models\Campaign;
use App\Models\CampaignLog;
use App\Models\User;
use App\Support\Faults;
use Illuminate\Support\Facades\DB;

class CampaignCreator
{
    private const DEFAULT_BUTTONS = ['Yes', 'No'];
    private const ORPHAN_OFFSET = 1_000_000_000;

    public function __construct(private Faults $faults)
    {
    }

    public function create(array $data, ?User $user): Campaign
    {
        $campaign = DB::transaction(function () use ($data, $user) {
            $campaign = Campaign::create([
                'name' => $data['name'],
                'campaign_type' => $data['campaign_type'] ?? 'standard',
                'template_id' => $data['template_id'],
                'contact_group_id' => $data['group_id'],
                'user_id' => $user?->id,
            ]);
            $this->createLogs($campaign);

            if ($campaign->isHybrid()) {
                $campaign->hybridOptions()->create([
                    'buttons' => ($data['buttons'] ?? []) ?: self::DEFAULT_BUTTONS,
                    'fallback_text' => $data['fallback_text'] ?? null,
                ]);
            }

            return $campaign;
        });

        if ($this->faults->read()->orphanLogs()) {
            $this->createOrphanLogs($campaign);
        }

        $this->queueMessages($campaign);

        return $campaign;
    }

    private function createLogs(Campaign $campaign): void
    {
        DB::insert(
            'INSERT INTO campaign_logs (campaign_id, contact_id, message_id, status, created_at, updated_at)
             SELECT ?, contact_id, UUID(), ?, ?, ? FROM contact_contact_group WHERE contact_group_id = ?',
            [$campaign->id, CampaignLog::PENDING, now(), now(), $campaign->contact_group_id]
        );
    }

    /** Spread over time, so that the WhatsApp service need not refuse messages above its rate limit. */
    private function queueMessages(Campaign $campaign): void
    {
        $perSecond = max(1, config('campaign.whatsapp.rate_limit'));

        // After the commit: a worker must not meet a job whose row it cannot see yet.
        foreach ($campaign->logs()->orderBy('id')->pluck('id') as $index => $id) {
            SendCampaignMessage::dispatch($id)->delay(intdiv($index, $perSecond));
        }
    }

    private function createOrphanLogs(Campaign $campaign): void
    {
        DB::statement('SET SESSION foreign_key_checks = 0');
        DB::insert(
            'INSERT INTO campaign_logs (campaign_id, contact_id, message_id, status, error, created_at, updated_at)
             SELECT campaign_id + ?, contact_id, UUID(), ?, ?, created_at, updated_at
             FROM campaign_logs WHERE campaign_id = ?',
            [self::ORPHAN_OFFSET, CampaignLog::FAILED, 'Campaign was not found.', $campaign->id]
        );
        DB::statement('SET SESSION foreign_key_checks = 1');
    }
}
