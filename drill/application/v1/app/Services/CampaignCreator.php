<?php

namespace App\Services;

use App\Jobs\SendCampaignMessage;
use App\Models\Campaign;
use App\Models\CampaignLog;
use App\Models\User;
use Illuminate\Support\Facades\DB;
use Illuminate\Support\Facades\Queue;

class CampaignCreator
{
    public function create(array $data, ?User $user): Campaign
    {
        $campaign = DB::transaction(function () use ($data, $user) {
            $campaign = Campaign::create([
                'name' => $data['name'],
                'template_id' => $data['template_id'],
                'contact_group_id' => $data['group_id'],
                'user_id' => $user?->id,
            ]);
            $this->createLogs($campaign);

            return $campaign;
        });

        // After the commit: a worker must not meet a job whose row it cannot see yet.
        Queue::bulk($campaign->logs()->orderBy('id')->pluck('id')->mapInto(SendCampaignMessage::class)->all());

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
}
